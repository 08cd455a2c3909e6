// SPDX-License-Identifier: MIT
// The first translation unit: spawns what the second made, and compares what must be one object in the whole program.
#include "work.hpp"

#include <cstdio>

namespace {

spargio::Task<int> sum(spargio::RuntimeHandle handle) {
    spargio::JoinHandle<int> there = spawn_here(handle, 19);
    const int left = co_await std::move(there);
    const int right = co_await twice(11);
    co_return left + right;
}

}  // namespace

int main() {
    spargio::Runtime runtime = spargio::RuntimeBuilder().shards(2).build();
    const int result = runtime.block_on(sum(runtime.handle()));
    const std::error_code here = spargio::RuntimeError::Closed;
    if (result != 42 || here != closed_there() || &here.category() != &closed_there().category()) {
        std::fprintf(stderr, "the two translation units disagree: %d\n", result);
        return 1;
    }
    std::printf("the answer is %d\n", result);
    return 0;
}
