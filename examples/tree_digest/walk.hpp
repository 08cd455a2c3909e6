// SPDX-License-Identifier: MIT
// Finds the regular files below a path, on a pool of plain threads.
#pragma once

#include <string>
#include <system_error>
#include <vector>

namespace tree_digest {

/// What could not be read, and why.
struct Failure {
    std::string path;
    std::error_code error;
};

/// Both lists are sorted by the bytes of the path, whatever the locale: the order of `LC_ALL=C sort`.
struct Tree {
    std::vector<std::string> files;
    std::vector<Failure> failures;  ///< directories that could not be listed
};

/// The files that `find root -type f` lists, and like it follows no symlink; only `root` itself may be one to a
/// directory. `root` may also be a file.
Tree walk(const std::string& root, unsigned threads);

void sort_by_path(std::vector<Failure>& failures);

}  // namespace tree_digest
