// SPDX-License-Identifier: MIT
// Children of a test process: its own program again with an argument, or a fork; waited for, and killed when they hang.
#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <thread>

#include <csignal>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/stress.hpp"

extern char** environ;

namespace spargio::test {

/// "exit 0", "signal 11", or "hangs" (then it has been killed).
[[nodiscard]] inline std::string end_of_child(pid_t child) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(sanitized ? 60 : 20);
    int status = 0;
    for (;;) {
        const pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child) {
            break;
        }
        if (ended < 0) {
            return "waitpid failed";
        }
        if (std::chrono::steady_clock::now() > limit) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return "hangs";
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (WIFEXITED(status)) {
        return "exit " + std::to_string(WEXITSTATUS(status));
    }
    return "signal " + std::to_string(WTERMSIG(status));
}

/// Runs this program again with one argument.
[[nodiscard]] inline std::string run_self(std::string argument) {
    char program[] = "/proc/self/exe";
    char* arguments[] = {program, argument.data(), nullptr};
    pid_t child = 0;
    if (posix_spawn(&child, program, nullptr, nullptr, arguments, environ) != 0) {
        return "posix_spawn failed";
    }
    return end_of_child(child);
}

/// Runs `body` in a fork that ends without destructors or exit handlers; its value is the exit status, and an exception
/// that leaves it is "exit 99": never does a child go on with the tests of its parent. Only while this process has one
/// thread.
[[nodiscard]] inline std::string run_forked(const std::function<int()>& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        int status = 99;
        try {
            status = body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "an exception leaves the child: %s\n", error.what());
        } catch (...) {
            std::fputs("an exception leaves the child\n", stderr);
        }
        std::fflush(nullptr);
        _exit(status);
    }
    return child < 0 ? "fork failed" : end_of_child(child);
}

}  // namespace spargio::test
