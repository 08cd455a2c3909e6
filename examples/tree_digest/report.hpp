// SPDX-License-Identifier: MIT
// What the user gets to read: the list, the summary, and what went wrong.
#pragma once

#include "pass.hpp"
#include "shard_pass.hpp"
#include "walk.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace tree_digest {

/// A line as `sha256sum` writes it and `sha256sum -c` reads it.
std::string list_line(const Sha256Value& sha256, std::string_view path);

/// The lines of all files that could be read, one after the other.
void print_list(const std::vector<std::string>& files, const Pass& pass);

/// The SHA-256 of what print_list prints: one value that stands for the whole tree.
Sha256Value digest_of_digests(const std::vector<std::string>& files, const Pass& pass);

struct Comparison {
    const ShardPass& shards;
    const Pass& plain;
    std::chrono::duration<double> walk_elapsed;
};
void print_summary(const std::string& root, const std::vector<std::string>& files, const Comparison& comparison,
                   std::size_t failures);

/// To stderr: the files that the second pass found different or could not read.
void print_differences(const std::vector<std::string>& files, const Pass& first, const Pass& second);

void print_failures(const std::vector<Failure>& failures);

}  // namespace tree_digest
