// SPDX-License-Identifier: MIT
// The table of operations. Not inline: Clang 14 cannot build a coroutine of weak linkage under its function sanitizer.
#include "support/lane_operations.hpp"

#include <cstddef>
#include <span>
#include <utility>

#include <liburing.h>

#include "support/files.hpp"

namespace spargio::test {
namespace {

template <class T>
std::error_code error_of(const Result<T>& result) {
    return result.error();
}

}  // namespace

const std::vector<LaneOperation>& lane_operations() {
    static const std::vector<LaneOperation> all = {
        {"read_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto bytes = co_await lane.read_at(fd, 0, 4);
             co_return error_of(bytes);
         }},
        {"read_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             std::byte room[4];
             const auto count = co_await lane.read_at(fd, 0, std::span(room));
             co_return error_of(count);
         }},
        {"write_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto count = co_await lane.write_at(fd, 0, bytes_of("same"));
             co_return error_of(count);
         }},
        {"write_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto bytes = bytes_of("same");
             std::vector<std::byte> owned(bytes.begin(), bytes.end());
             const auto count = co_await lane.write_at(fd, 0, std::move(owned));
             co_return error_of(count);
         }},
        {"read_exact_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             std::byte room[4];
             const auto done = co_await lane.read_exact_at(fd, 0, std::span(room));
             co_return error_of(done);
         }},
        {"write_all_at",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto done = co_await lane.write_all_at(fd, 0, bytes_of("same"));
             co_return error_of(done);
         }},
        {"fsync",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto done = co_await lane.fsync(fd);
             co_return error_of(done);
         },
         false},
        {"fdatasync",
         [](const NativeLane& lane, int fd) -> Task<std::error_code> {
             const auto done = co_await lane.fdatasync(fd);
             co_return error_of(done);
         },
         false},
        {"submit",
         [](const NativeLane& lane, int) -> Task<std::error_code> {
             auto nop = [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); };
             const auto done = co_await lane.submit(nop);
             co_return error_of(done);
         },
         false, false},
    };
    return all;
}

}  // namespace spargio::test
