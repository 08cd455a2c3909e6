// SPDX-License-Identifier: MIT
// Counts the bytes of a file, or how often a word is in it, chunk by chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mixed_mode_service {

/// For a word: the search of Knuth, Morris and Pratt. All that it keeps between two bytes is how much of the word the
/// last ones have matched, so a chunk may end anywhere.
class Counter {
public:
    /// An empty word: bytes.
    explicit Counter(std::string word) : word_(std::move(word)), shorter_(word_.size()) {
        for (std::size_t i = 1; i < word_.size(); ++i) {
            shorter_[i] = step(shorter_[i - 1], word_[i], i);
        }
    }

    void add(std::span<const std::byte> chunk) {
        bytes_ += chunk.size();
        if (word_.empty()) {
            count_ += chunk.size();
            return;
        }
        for (const std::byte byte : chunk) {
            matched_ = step(matched_, static_cast<char>(byte), word_.size());
            if (matched_ == word_.size()) {
                ++count_;
                matched_ = 0;  // Without overlaps.
            }
        }
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    /// All that were looked at.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

private:
    /// How much of the word, less than `limit` of it before, is matched after one more byte.
    [[nodiscard]] std::size_t step(std::size_t matched, char byte, std::size_t limit) const {
        while (matched != 0 && (matched == limit || word_[matched] != byte)) {
            matched = shorter_[matched - 1];
        }
        return word_[matched] == byte ? matched + 1 : 0;
    }

    std::string word_;
    std::vector<std::size_t> shorter_;  // [i]: the longest proper prefix that word[0..i] ends with
    std::size_t matched_ = 0;
    std::uint64_t count_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace mixed_mode_service
