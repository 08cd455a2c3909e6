// SPDX-License-Identifier: MIT
// A runtime of each backend as a global variable, built before main() and destroyed after it, with suspended tasks in
// it.
#include <cstdio>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/static_frames.hpp"
#include "support/workloads.hpp"

namespace {

// In this order: destroyed last, it looks at what the runtimes have left.
spargio::test::StaticFrames frames;
spargio::Runtime with_best_backend = spargio::RuntimeBuilder().shards(2).backend(spargio::test::best_backend()).build();
spargio::Runtime with_queue = spargio::RuntimeBuilder().shards(2).backend(spargio::BackendKind::Queue).build();

}  // namespace

int main() {
    for (auto* runtime : {&with_best_backend, &with_queue}) {
        const auto handle = runtime->handle();
        for (int i = 0; i < 8; ++i) {
            handle.spawn_stealable(spargio::test::never_ends(frames, handle, i)).detach();
        }
        if (spargio::test::do_some_of_everything(*runtime) != spargio::test::everything) {
            std::fputs("a global runtime does not work\n", stderr);
            return 1;
        }
    }
    return 0;
}
