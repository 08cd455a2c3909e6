// SPDX-License-Identifier: MIT
// The compiler probe: which coroutine patterns does this compiler get wrong, and what to write instead?
//
// Exit status 0: the library can be used. 1: a pattern it relies on is broken, or a compiler that was measured before
// breaks one that it was not known to break.
#include "probe.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace probe {
namespace {

#if defined(__clang__)
constexpr const char* compiler = "Clang " __clang_version__;
constexpr bool is_gcc_12 = false;
constexpr bool is_clang_14 = __clang_major__ == 14;
#else
constexpr const char* compiler = "GCC " __VERSION__;
constexpr bool is_gcc_12 = __GNUC__ == 12;
constexpr bool is_clang_14 = false;
#endif

#if defined(__OPTIMIZE__)
constexpr const char* optimisation = "optimised";
#else
constexpr const char* optimisation = "not optimised";
#endif

constexpr unsigned seconds_for_one_pattern = 30;

[[noreturn]] void run_as_child(const Pattern& pattern, int report_fd) {
    ::alarm(seconds_for_one_pattern);
    // What the C library or a sanitizer says about a broken pattern would hide the table.
    if (const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC); null >= 0) {
        ::dup2(null, STDERR_FILENO);
    }
    const std::string found = pattern.run();
    const bool reported = ::write(report_fd, found.data(), found.size()) == static_cast<ssize_t>(found.size());
    ::_exit(found.empty() && reported ? 0 : 1);
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 512> buffer;
    while (true) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        } else if (got == 0 || errno != EINTR) {
            return text;
        }
    }
}

std::string run_in_child(const Pattern& pattern) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) {
        return std::string("the probe could not make a pipe: ") + std::strerror(errno);
    }
    const pid_t child = ::fork();
    if (child < 0) {
        ::close(fds[0]);
        ::close(fds[1]);
        return std::string("the probe could not fork: ") + std::strerror(errno);
    }
    if (child == 0) {
        run_as_child(pattern, fds[1]);
    }
    ::close(fds[1]);
    const std::string found = read_all(fds[0]);
    ::close(fds[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) {
        return std::string("the program died: ") + ::strsignal(WTERMSIG(status));
    }
    if (!found.empty()) {
        return found;
    }
    if (WEXITSTATUS(status) != 0) {
        return "the program was ended with status " + std::to_string(WEXITSTATUS(status));
    }
    return {};
}

struct Summary {
    int clean = 0;
    int known = 0;
    int unexpected = 0;
    int fatal = 0;
};

void report(const Pattern& pattern, const std::string& found, Summary& summary) {
    const std::string advice =
        (pattern.kind == Class::Avoid ? "not portable, write instead: " : "portable; if it breaks: ") +
        std::string(pattern.use_instead);
    if (found.empty()) {
        ++summary.clean;
        std::printf("%s: ok | %s\n", pattern.name, advice.c_str());
        return;
    }
    const bool known = (is_gcc_12 && pattern.known_in_gcc_12) || (is_clang_14 && pattern.known_in_clang_14);
    const char* remark = "";
    if (pattern.kind == Class::ReliedOn) {
        ++summary.fatal;
        remark = "; the library relies on it";
    } else if (known) {
        ++summary.known;
        remark = "; known of this compiler";
    } else {
        ++summary.unexpected;
        remark = "; not known of this compiler";
    }
    std::printf("%s: BROKEN (%s%s) | %s\n", pattern.name, found.c_str(), remark, advice.c_str());
}

void run_all(const std::vector<Pattern>& patterns, Summary& summary) {
    for (const Pattern& pattern : patterns) {
        const std::string found = pattern.isolation == Isolation::Child ? run_in_child(pattern) : pattern.run();
        report(pattern, found, summary);
        std::fflush(stdout);
    }
}

}  // namespace
}  // namespace probe

int main() {
    using namespace probe;
    std::printf("compiler: %s, %s\n", compiler, optimisation);
    std::fflush(stdout);
    Summary summary;
    run_all(patterns_to_avoid(), summary);
    run_all(patterns_relied_on(), summary);
    run_all(patterns_of_the_machine(), summary);
    std::printf(
        "%d ok, %d broken as known, %d broken and not known of this compiler, %d broken that the library relies on\n",
        summary.clean, summary.known, summary.unexpected, summary.fatal);
    const bool measured = is_gcc_12 || is_clang_14;
    return summary.fatal != 0 || (measured && summary.unexpected != 0) ? 1 : 0;
}
