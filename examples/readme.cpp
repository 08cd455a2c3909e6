// SPDX-License-Identifier: MIT
// The program that the README shows; a test compares the two.

#include <spargio/spargio.hpp>
#include <iostream>

spargio::Task<int> twice(int n) {
    co_await spargio::yield();  // others run; a stealable task may continue on another shard
    co_return 2 * n;
}
int main() {
    spargio::Runtime runtime = spargio::RuntimeBuilder().build();  // one shard per CPU
    auto six = runtime.handle().spawn_stealable(twice(3));         // for whichever shard is free
    auto eight = runtime.handle().spawn_pinned(0, twice(4));       // on shard 0 from start to end
    std::cout << six.get() + eight.get() << '\n';                  // a plain thread may wait: 14
}
