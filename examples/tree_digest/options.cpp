// SPDX-License-Identifier: MIT
// getopt_long reads the options and words most of the complaints.
#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <thread>

#include <getopt.h>

namespace tree_digest {

const char* const usage =
    "usage: tree_digest [options] [PATH]\n"
    "\n"
    "Computes the SHA-256 of every regular file below PATH (default: /usr/include) on the shards of a spargio runtime,\n"
    "and the same again on plain threads to compare. Follows no symlink, but PATH may be one to a directory.\n"
    "\n"
    "  --list             print only lines that `sha256sum -c` accepts, sorted by path\n"
    "  --shards N         shards of the runtime (default: the CPUs this process may use)\n"
    "  --backend KIND     auto, io_uring or queue (default: auto)\n"
    "  --threads N        plain threads that walk the tree and hand over the files (default: the number of CPUs)\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 all done; 1 something could not be read or was changed meanwhile, and the rest is done;\n"
    "2 wrong usage, or the runtime could not be started.\n";

namespace {

constexpr unsigned most_threads = 1024;
constexpr std::size_t most_shards = 65534;

template <class Number>
std::optional<Number> parse_number(std::string_view text, Number most) {
    Number number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > most) {
        return std::nullopt;
    }
    return number;
}

std::optional<spargio::BackendKind> parse_backend(std::string_view text) {
    using spargio::BackendKind;
    for (const BackendKind kind : {BackendKind::Auto, BackendKind::IoUring, BackendKind::Queue}) {
        if (text == spargio::to_string(kind)) {
            return kind;
        }
    }
    return std::nullopt;
}

std::nullopt_t refuse(const std::string& reason) {
    std::fprintf(stderr, "tree_digest: %s\nTry 'tree_digest --help'.\n", reason.c_str());
    return std::nullopt;
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
    const option known[] = {
        {"list", no_argument, nullptr, 'l'},          {"help", no_argument, nullptr, 'h'},
        {"shards", required_argument, nullptr, 's'},  {"backend", required_argument, nullptr, 'b'},
        {"threads", required_argument, nullptr, 't'}, {nullptr, 0, nullptr, 0},
    };
    Options options;
    options.threads = std::max(1U, std::thread::hardware_concurrency());
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (found) {
        case 'l':
            options.list = true;
            break;
        case 'h':
            options.help = true;
            break;
        case 's':
            options.shards = parse_number(optarg, most_shards);
            if (!options.shards) {
                return refuse("--shards wants a number from 1 to 65534, not '" + std::string(optarg) + "'");
            }
            break;
        case 'b':
            if (const auto backend = parse_backend(optarg)) {
                options.backend = *backend;
            } else {
                return refuse("--backend wants auto, io_uring or queue, not '" + std::string(optarg) + "'");
            }
            break;
        case 't':
            if (const auto threads = parse_number(optarg, most_threads)) {
                options.threads = *threads;
            } else {
                return refuse("--threads wants a number from 1 to 1024, not '" + std::string(optarg) + "'");
            }
            break;
        default:  // getopt_long has said what is wrong
            std::fprintf(stderr, "Try 'tree_digest --help'.\n");
            return std::nullopt;
        }
    }
    if (argc - optind > 1) {
        return refuse("one PATH only");
    }
    if (optind < argc) {
        options.path = argv[optind];
    }
    if (options.path.empty()) {
        return refuse("PATH is empty");
    }
    return options;
}

}  // namespace tree_digest
