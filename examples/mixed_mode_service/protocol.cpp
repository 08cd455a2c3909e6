// SPDX-License-Identifier: MIT
// Lines into commands.
#include "protocol.hpp"

#include <algorithm>
#include <utility>

namespace mixed_mode_service {
namespace {

void skip_blanks(std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
}

/// The text up to the next blank, which goes with it.
std::string_view take_word(std::string_view& rest) {
    skip_blanks(rest);
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    return word;
}

}  // namespace

Command parse(std::string_view line) {
    if (line.find('\0') != std::string_view::npos) {
        return Answer::error("a line has no zero bytes");
    }
    const std::string_view command = take_word(line);
    Question question;
    if (command == "SUM") {
        for (auto path = take_word(line); !path.empty(); path = take_word(line)) {
            question.paths.emplace_back(path);
        }
        if (question.paths.empty()) {
            return Answer::error("usage: SUM path...");
        }
        return question;
    }
    if (command == "FIND") {
        question.word = take_word(line);
        // Its path may have blanks within. Around it they are none of it, as around those of SUM.
        skip_blanks(line);
        line = line.substr(0, line.find_last_not_of(' ') + 1);
        if (line.empty()) {
            return Answer::error("usage: FIND word path");
        }
        question.paths.emplace_back(line);
        return question;
    }
    if (command == "QUIT") {
        return Quit();
    }
    return Answer::error("unknown command, there are SUM, FIND and QUIT");
}

std::optional<Lines::Line> Lines::take(std::size_t end, std::size_t next_begin) {
    const bool skipped = std::exchange(skips_, false);
    Line line;
    line.is_too_long = end - begin_ > longest_line;
    if (!line.is_too_long && !skipped) {
        line.text = bytes_.substr(begin_, end - begin_);
        if (line.text.ends_with('\r')) {
            line.text.pop_back();
        }
    }
    begin_ = next_begin;
    searched_ = 0;
    if (begin_ == bytes_.size() || begin_ > longest_line) {
        bytes_.erase(0, begin_);
        begin_ = 0;
    }
    return skipped ? std::nullopt : std::optional(std::move(line));
}

std::optional<Lines::Line> Lines::next(bool is_last) {
    for (;;) {
        const auto end = bytes_.find('\n', begin_ + searched_);
        if (end != std::string::npos) {
            auto line = take(end, end + 1);
            if (line) {
                return line;
            }
            continue;
        }
        searched_ = size();
        if (searched_ > longest_line || (skips_ && searched_ != 0)) {
            // The complaint goes out before the rest of the line has come.
            const bool is_new = !skips_;
            auto line = take(bytes_.size(), bytes_.size());
            skips_ = true;
            return is_new ? line : std::nullopt;
        }
        if (is_last && searched_ != 0) {
            return take(bytes_.size(), bytes_.size());
        }
        return std::nullopt;
    }
}

}  // namespace mixed_mode_service
