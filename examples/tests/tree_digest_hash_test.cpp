// SPDX-License-Identifier: MIT
// What a file may become between the walk and the end of its hash, played step by step.
#include "checks.hpp"
#include "hash.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <sys/stat.h>

namespace {

using tree_digest::FileHasher;

void write(const std::filesystem::path& file, std::size_t bytes) {
    std::ofstream(file, std::ios::app) << std::string(bytes, 'x');
}

std::error_code error_at_the_end(FileHasher& hasher) {
    for (;;) {
        const auto step = hasher.step();
        if (!step) {
            return step.error();
        }
        if (*step == FileHasher::Step::EndOfFile) {
            return {};
        }
    }
}

}  // namespace

int main() {
    const Folder folder;
    const auto file = folder.path / "file";
    write(file, 3'000'000);

    auto undisturbed = FileHasher::open(file);
    expect(undisturbed.has_value() && !error_at_the_end(*undisturbed), "a file that nobody touches is hashed");

    auto appended = FileHasher::open(file);
    expect(appended.has_value() && appended->step().has_value(), "the first step succeeds");
    write(file, 1);
    expect(error_at_the_end(*appended) == std::errc::text_file_busy, "an append is noticed");

    auto cut = FileHasher::open(file);
    std::filesystem::resize_file(file, 10);
    expect(cut.has_value() && error_at_the_end(*cut) == std::errc::text_file_busy, "a cut is noticed");

    const auto pipe = folder.path / "pipe";
    expect(mkfifo(pipe.c_str(), 0600) == 0, "a pipe can be made");
    expect(FileHasher::open(pipe).error() == std::errc::invalid_argument, "a pipe is refused, not waited for");
    expect(FileHasher::open(folder.path).error() == std::errc::invalid_argument, "a directory is refused");
    std::filesystem::create_symlink(file, folder.path / "link");
    expect(FileHasher::open(folder.path / "link").error() == std::errc::too_many_symbolic_link_levels,
           "a symlink is refused");
    expect(FileHasher::open(folder.path / "gone").error() == std::errc::no_such_file_or_directory, "a name is needed");
    return failures == 0 ? 0 : 1;
}
