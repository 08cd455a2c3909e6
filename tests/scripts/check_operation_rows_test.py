#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/check_operation_rows.py, on made-up headers and tables: no operation without a row may get past it."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_operation_rows.py"

CLASS = """
/// Not an operation: detail::CountAwaiter comment(int fd)
class NativeLane %(base)s{
public:
    static constexpr std::uint64_t current_position = ~std::uint64_t{0};
    [[nodiscard]] ShardId shard() const noexcept { return shard_; }
    [[nodiscard("a; b(c)")]] detail::CountAwaiter read_at(int fd, std::span<std::byte> into) const {
        return detail::CountAwaiter(core_, fd, into);
    }
    template <std::move_constructible Prepare>
    requires std::invocable<Prepare&, io_uring_sqe*>
    [[nodiscard]] detail::SubmitAwaiter<Prepare> submit(Prepare prepare) const {
        return detail::SubmitAwaiter<Prepare>(core_, std::move(prepare));
    }
    %(more)s
private:
    friend class RuntimeHandle;
    NativeLane(detail::CoreRef core, ShardId shard) noexcept : core_(std::move(core)), shard_(shard) {}
    [[nodiscard]] detail::Executor* executor() const noexcept { return nullptr; }
    ShardId shard_;
};
%(beside)s
"""
AWAITERS = """
class OperationAwaiter {};
class TransferAwaiter : public OperationAwaiter {};
class CountAwaiter : public TransferAwaiter {};
template <class Prepare>
class SubmitAwaiter : public OperationAwaiter {};
"""
OTHER = """
class NativeLane;
class RuntimeHandle { Result<NativeLane> native_lane(ShardId shard) const; };
%s
"""
READ = '{"read_at", [](const NativeLane& lane, int fd) { co_await lane.read_at(fd, room); }},'
SUBMIT = '{"submit", [](const NativeLane& lane, int) { co_await lane.submit(nop); }, false},'


class CheckOperationRows(unittest.TestCase):
    def check(self, more="", beside="", base="", other="", rows=(READ, SUBMIT)):
        """The exit status and the lines, the count of which is the last."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {
                    "include/spargio/native_lane.hpp": CLASS % {"more": more, "beside": beside, "base": base},
                    "include/spargio/detail/transfer.hpp": AWAITERS,
                    "include/spargio/other.hpp": OTHER % other,
                    "tests/support/lane_operations.cpp": "".join(rows)}.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout.splitlines()

    def missing(self, name, **changes):
        status, lines = self.check(**changes)
        self.assertEqual(status, 1, lines)
        self.assertTrue(lines[0].startswith(f"{name}:") and lines[0].endswith("in the table"), lines)

    def test_each_has_its_row(self):
        self.assertEqual(self.check(), (0, ["2 operations, 2 rows"]))

    def test_a_row_is_missing(self):
        self.missing("submit", rows=[READ])

    def test_an_overload(self):
        self.missing("read_at", more="detail::CountAwaiter read_at(int fd, std::size_t length) const;")

    def test_whatever_it_returns(self):
        for returns in ("detail::CountAwaiter", "::spargio::detail::CountAwaiter", "detail::Vectored<std::byte, 4>",
                        "auto", "Task<Result<int>>", "decltype(auto)", "inline std::function<void(int)>"):
            self.missing("readv", more=f"{returns} readv(int fd) const {{ return f(fd); }}")
        for more in ("auto readv(int fd) const -> detail::CountAwaiter;", "static auto readv(int fd) -> X;"):
            self.missing("readv", more=more)

    def test_however_it_is_declared(self):
        for more in ("template <class T> requires (sizeof(T) > 4) X readv(T buffer) const;",
                     "template <class T> X readv(T buffer) const requires std::integral<T>;",
                     "X readv(int fd,\n      std::span<X> into = {}) const noexcept(false);",
                     "static X readv(int fd);", "friend X readv(const int& lane, int fd) { return X(fd); }",
                     "#ifdef A\nX readv(int fd) const;\n#endif",
                     "static constexpr auto readv = [](int fd) { return X(fd); };"):
            self.missing("readv", more=more)
        self.missing("SPARGIO_OPERATION", more="SPARGIO_OPERATION(readv, X);")
        self.missing("operator()", more="X operator()(int fd) const;")

    def test_beside_the_class(self):
        for changes in ({"beside": "inline X readv(const NativeLane& lane, int fd) { return X(lane, fd); }"},
                        {"other": "X readv(NativeLane lane, int fd);"},
                        {"other": "class FileLane : public NativeLane {};"},
                        {"other": "template <class Lane> detail::CountAwaiter readv(const Lane& lane);"},
                        {"other": "class Readv : public detail::TransferAwaiter {};"},
                        {"base": ": public Operations "}):
            status, lines = self.check(**changes)
            self.assertEqual((status, len(lines)), (1, 2), changes)

    def test_a_row_for_nothing(self):
        rows = [READ, SUBMIT, '{"readv", [](const NativeLane& lane) { co_await lane.readv(fd); }},']
        self.assertEqual(self.check(rows=rows)[1][0], "readv: a row for what is no operation")

    def test_a_row_that_does_something_else(self):
        self.assertEqual(self.check(rows=[READ, SUBMIT.replace("lane.submit", "lane.read_at")])[1][0],
                         "submit: a row that does not call it")

    def test_two_rows_that_do_the_same(self):
        more = "detail::CountAwaiter read_at(int fd, std::size_t length) const;"
        self.assertEqual(self.check(more=more, rows=[READ, READ, SUBMIT])[1][0], "read_at: two rows call the same")
        self.assertEqual(self.check(more=more, rows=[READ, READ.replace("room", "4"), SUBMIT])[0], 0)

    def test_a_row_in_a_comment(self):
        self.missing("submit", rows=[READ, f"// {SUBMIT}"])


if __name__ == "__main__":
    unittest.main()
