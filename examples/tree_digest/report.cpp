// SPDX-License-Identifier: MIT
// Only bytes and standard output in here; nothing knows about threads or shards any more.
#include "report.hpp"

#include <cinttypes>
#include <cstdio>
#include <span>

namespace tree_digest {
namespace {

/// The name on one line of a terminal, whatever bytes it has.
std::string shown(std::string_view name) {
    std::string text;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7F) {
            text += c;
        } else {
            char octal[5];
            std::snprintf(octal, sizeof octal, "\\%03o", byte);
            text += octal;
        }
    }
    return text;
}

/// The name on one line. sha256sum marks a line whose name needed this with a backslash in front of the line.
std::string escaped(std::string_view name) {
    std::string text;
    for (const char c : name) {
        switch (c) {
        case '\\':
            text += "\\\\";
            break;
        case '\n':
            text += "\\n";
            break;
        case '\r':
            text += "\\r";
            break;
        default:
            text += c;
        }
    }
    return text;
}

std::string reason_of(const std::error_code& error) {
    return error == std::errc::text_file_busy ? "it was written to while it was read" : error.message();
}

template <class Use>
void for_each_line(const std::vector<std::string>& files, const Pass& pass, const Use& use) {
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (pass.digests[i]) {
            use(list_line(pass.digests[i]->sha256, files[i]));
        }
    }
}

std::string readable(std::uint64_t bytes) {
    constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

std::string counted(std::size_t number, const std::string& thing) {
    return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

double ratio(std::chrono::duration<double> of, std::chrono::duration<double> to) {
    return to.count() > 0 ? of / to : 1;
}

}  // namespace

std::string list_line(const Sha256Value& sha256, std::string_view path) {
    const std::string name = escaped(path);
    std::string line;
    if (name.size() != path.size()) {
        line += '\\';
    }
    line += to_hex(sha256);
    line += "  ";
    line += name;
    line += '\n';
    return line;
}

void print_list(const std::vector<std::string>& files, const Pass& pass) {
    for_each_line(files, pass, [](const std::string& line) { std::fwrite(line.data(), 1, line.size(), stdout); });
}

Sha256Value digest_of_digests(const std::vector<std::string>& files, const Pass& pass) {
    Sha256 sha256;
    for_each_line(files, pass, [&sha256](const std::string& line) { sha256.update(std::as_bytes(std::span(line))); });
    return sha256.finish();
}

void print_summary(const std::string& root, const std::vector<std::string>& files, const Comparison& comparison,
                   std::size_t failures) {
    const Pass& shards = comparison.shards.pass;
    const DirectoryTotal sum = shards.table.sum();
    std::printf("%s: %" PRIu64 " files in %zu directories, %" PRIu64 " bytes (%s)", shown(root).c_str(), sum.files,
                shards.table.size(), sum.bytes, readable(sum.bytes).c_str());
    std::printf(failures == 0 ? "\n" : ", %zu could not be read\n", failures);
    std::printf("  digest   %s (of the lines that --list prints)\n", to_hex(digest_of_digests(files, shards)).c_str());

    std::printf("  largest directories\n");
    for (const DirectoryRow& row : shards.table.largest(5)) {
        std::printf("    %10s in %6" PRIu64 " files  %s\n", readable(row.total.bytes).c_str(), row.total.files,
                    shown(row.directory).c_str());
    }

    const std::string shard_count = counted(shards.files_per_worker.size(), "shard");
    std::printf("  backend  %s, %s\n", std::string(to_string(comparison.shards.backend)).c_str(), shard_count.c_str());
    if (!comparison.shards.fallback_reason.empty()) {
        std::printf("           because: %s\n", comparison.shards.fallback_reason.c_str());
    }
    for (std::size_t shard = 0; shard < shards.files_per_worker.size(); ++shard) {
        std::printf("  shard %-2zu %" PRIu64 " files\n", shard, shards.files_per_worker[shard]);
    }
    std::printf("  stolen   %" PRIu64 " tasks ran on another shard than they were queued on\n",
                comparison.shards.tasks_stolen);

    const Pass& plain = comparison.plain;
    std::printf("  time     %.3f s to walk the tree, then a pass to warm the page cache, then\n",
                comparison.walk_elapsed.count());
    std::printf("  first    %.3f s (%.3f s of CPU) on %s\n", shards.elapsed.count(), shards.cpu.count(),
                shard_count.c_str());
    std::printf("  second   %.3f s (%.3f s of CPU) on %s alone: %s result\n", plain.elapsed.count(), plain.cpu.count(),
                counted(plain.files_per_worker.size(), "plain thread").c_str(),
                shards.same_result(plain) ? "same" : "ANOTHER");
    std::printf("  ratio    %.2f (%.2f of CPU), shards to plain threads\n", ratio(shards.elapsed, plain.elapsed),
                ratio(shards.cpu, plain.cpu));
}

void print_differences(const std::vector<std::string>& files, const Pass& first, const Pass& second) {
    for (std::size_t i = 0; i < files.size(); ++i) {
        const auto& a = first.digests[i];
        const auto& b = second.digests[i];
        if (a && (!b || *a != *b)) {
            const std::string reason = b ? "it was written to" : reason_of(b.error());
            std::fprintf(stderr, "tree_digest: %s: not the same in the second pass: %s\n", shown(files[i]).c_str(),
                         reason.c_str());
        }
    }
}

void print_failures(const std::vector<Failure>& failures) {
    for (const Failure& failure : failures) {
        std::fprintf(stderr, "tree_digest: %s: %s\n", shown(failure.path).c_str(), reason_of(failure.error).c_str());
    }
}

}  // namespace tree_digest
