// SPDX-License-Identifier: MIT
// The lines that clients send, and those that they get. Nothing of Asio or spargio in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mixed_mode_service {

/// Of a line, without its end.
inline constexpr std::size_t longest_line = 16 * 1024;

/// What the shards are asked: how many bytes the files have, or how often the word is in them.
struct Question {
    std::string word;  // Empty: bytes.
    std::vector<std::string> paths;
};

/// What the shards answer. As a class with constructors, because GCC 12 breaks aggregates in co_await expressions.
class Answer {
public:
    Answer() = default;

    [[nodiscard]] static Answer number(std::uint64_t value) { return Answer(std::to_string(value)); }
    [[nodiscard]] static Answer error(const std::string& reason) { return Answer("ERR " + reason); }
    [[nodiscard]] static Answer busy() { return Answer("BUSY"); }
    [[nodiscard]] static Answer timeout() { return Answer("TIMEOUT"); }

    [[nodiscard]] const std::string& line() const { return line_; }

private:
    explicit Answer(std::string line) : line_(std::move(line)) {}

    std::string line_;
};

struct Quit {};

/// A question for the shards; an answer that needs none, namely an error; or the client's last line.
using Command = std::variant<Question, Answer, Quit>;

[[nodiscard]] Command parse(std::string_view line);

/// Cuts what a client sends into lines. Keeps no more than it is given, and of a line that is too long nothing.
class Lines {
public:
    struct Line {
        std::string text;
        bool is_too_long = false;
    };

    void add(std::string_view bytes) { bytes_ += bytes; }
    /// The next line; the last one need not have an end.
    [[nodiscard]] std::optional<Line> next(bool is_last);
    [[nodiscard]] std::size_t size() const { return bytes_.size() - begin_; }

private:
    [[nodiscard]] std::optional<Line> take(std::size_t end, std::size_t next_begin);

    std::string bytes_;
    std::size_t begin_ = 0;
    std::size_t searched_ = 0;  // From begin_: no end of line before.
    bool skips_ = false;        // The rest of a line that was too long.
};

}  // namespace mixed_mode_service
