// SPDX-License-Identifier: MIT
// getopt_long reads the options and words most of the complaints.
#include "options.hpp"

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include <getopt.h>

namespace mixed_mode_service {

const char* const usage =
    "usage: mixed_mode_service --port N [options]\n"
    "\n"
    "A TCP server that counts bytes and words in files. One request a line, one line in answer:\n"
    "\n"
    "  SUM path...        how many bytes all of these files have together\n"
    "  FIND word path     how often the word is in the file, without overlaps\n"
    "  QUIT               closes the connection when all before is answered\n"
    "\n"
    "Words are divided by blanks, and by nothing else, so SUM's paths have none within; FIND's path is the rest of the\n"
    "line. A CR before the line's end is dropped; a line with a zero byte is answered ERR.\n"
    "\n"
    "The answer is a number, or ERR and a reason, BUSY (too many requests in progress, or connections) or TIMEOUT.\n"
    "\n"
    "  --port N           listen on this port; 0: one that is free, named on standard output\n"
    "  --address TEXT     listen on this address (default: 127.0.0.1)\n"
    "  --capacity N       requests in progress at a time (default: 64)\n"
    "  --timeout-ms N     how long a request may take (default: 5000)\n"
    "  --shards N         shards of the runtime (default: the CPUs this process may use)\n"
    "  --backend KIND     auto, io_uring or queue (default: auto)\n"
    "  --help             this text\n"
    "\n"
    "SIGINT or SIGTERM: what was read is answered, within a question's time, then it ends; a second one ends it at\n"
    "once. SIGUSR1: a line with the runtime's statistics on standard error. Exit status: 0, or 2 after wrong usage, or\n"
    "when it cannot listen or start the runtime.\n";

namespace {

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) {
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
    std::fprintf(stderr, "mixed_mode_service: %s\nTry 'mixed_mode_service --help'.\n", reason.c_str());
    return std::nullopt;
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
    const option known[] = {
        {"port", required_argument, nullptr, 'p'},     {"address", required_argument, nullptr, 'a'},
        {"capacity", required_argument, nullptr, 'c'}, {"timeout-ms", required_argument, nullptr, 't'},
        {"shards", required_argument, nullptr, 's'},   {"backend", required_argument, nullptr, 'b'},
        {"help", no_argument, nullptr, 'h'},           {nullptr, 0, nullptr, 0},
    };
    constexpr std::uint64_t most_milliseconds = 24ULL * 60 * 60 * 1000;
    Options options;
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        std::optional<std::uint64_t> number;
        switch (found) {
        case 'p':
            number = parse_number(optarg, 0, 65535);
            if (!number) {
                return refuse(std::string("no port: ") + optarg);
            }
            options.port = static_cast<std::uint16_t>(*number);
            break;
        case 'a': {
            std::error_code error;
            options.address = asio::ip::make_address(optarg, error);
            if (error) {
                return refuse(std::string("no address: ") + optarg);
            }
            break;
        }
        case 'c':
            number = parse_number(optarg, 1, 65536);
            if (!number) {
                return refuse(std::string("no capacity from 1 to 65536: ") + optarg);
            }
            options.capacity = *number;
            break;
        case 't':
            number = parse_number(optarg, 1, most_milliseconds);
            if (!number) {
                return refuse(std::string("no time of 1 ms to a day: ") + optarg);
            }
            options.timeout = std::chrono::milliseconds(*number);
            break;
        case 's':
            options.shards = parse_number(optarg, 1, 65534);
            if (!options.shards) {
                return refuse(std::string("no number of shards: ") + optarg);
            }
            break;
        case 'b': {
            const auto backend = parse_backend(optarg);
            if (!backend) {
                return refuse(std::string("no backend: ") + optarg);
            }
            options.backend = *backend;
            break;
        }
        case 'h':
            options.help = true;
            return options;
        default:
            return refuse("not understood");
        }
    }
    if (optind < argc) {
        return refuse(std::string("unexpected: ") + argv[optind]);
    }
    if (!options.port) {
        return refuse("--port is missing");
    }
    return options;
}

}  // namespace mixed_mode_service
