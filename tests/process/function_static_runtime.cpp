// SPDX-License-Identifier: MIT
// A runtime of each backend as a static variable of a function, first used on another thread, destroyed at exit.
#include <cstdio>
#include <thread>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/static_frames.hpp"
#include "support/workloads.hpp"

namespace {

spargio::test::StaticFrames& frames() {
    static spargio::test::StaticFrames instance;
    return instance;
}

spargio::Runtime& best_backend() {
    static spargio::Runtime instance =
        spargio::RuntimeBuilder().shards(2).backend(spargio::test::best_backend()).build();
    return instance;
}

spargio::Runtime& queue() {
    static spargio::Runtime instance = spargio::RuntimeBuilder().shards(2).backend(spargio::BackendKind::Queue).build();
    return instance;
}

}  // namespace

int main() {
    static_cast<void>(frames());  // First, so that it is destroyed last.
    int status = 0;
    std::thread first_user([&status] {
        for (auto* runtime : {&best_backend(), &queue()}) {
            const auto handle = runtime->handle();
            for (int i = 0; i < 8; ++i) {
                handle.spawn_round_robin(spargio::test::never_ends(frames(), handle, i)).detach();
            }
            if (spargio::test::do_some_of_everything(*runtime) != spargio::test::everything) {
                std::fputs("a function's static runtime does not work\n", stderr);
                status = 1;
            }
        }
    });
    first_user.join();
    return status;
}
