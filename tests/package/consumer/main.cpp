// SPDX-License-Identifier: MIT
// A user's first program: one runtime, one pinned task, its result on a thread the runtime does not own.
#include <spargio/spargio.hpp>

#include <cstdio>

namespace {

spargio::Task<int> half() {
    co_return 21;
}

spargio::Task<int> answer() {
    const int first = co_await half();
    const int second = co_await half();
    co_return first + second;
}

}  // namespace

int main() {
    spargio::Runtime runtime = spargio::RuntimeBuilder().shards(2).build();
    spargio::JoinHandle<int> handle = runtime.handle().spawn_pinned(1, answer());
    const int result = handle.get();
    if (result != 42) {
        std::fprintf(stderr, "expected 42, got %d\n", result);
        return 1;
    }
    std::printf("the answer is %d\n", result);
    return 0;
}
