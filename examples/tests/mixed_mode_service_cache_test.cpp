// SPDX-License-Identifier: MIT
// mixed_mode_service's cache: it answers for the version that was counted, and keeps no more than its bound.
#include "cache.hpp"
#include "checks.hpp"
#include "files.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace {

using mixed_mode_service::CountCache;
using mixed_mode_service::FileVersion;

constexpr FileVersion counted{.device = 1,
                              .inode = 2,
                              .size = 3,
                              .modified = {.tv_sec = 4, .tv_nsec = 5},
                              .changed = {.tv_sec = 6, .tv_nsec = 7}};

bool knows(CountCache& cache, std::size_t key, std::uint64_t count) {
    return cache.find(std::to_string(key), counted) == std::optional(count);
}

bool knows_all(CountCache& cache, std::size_t first, std::size_t end) {
    for (std::size_t key = first; key < end; ++key) {
        if (!knows(cache, key, 10 * key)) {
            return false;
        }
    }
    return true;
}

void hits() {
    CountCache cache;
    expect(!cache.find("a", counted), "an empty cache knows nothing");
    cache.insert("a", counted, 0);
    cache.insert("b", counted, 12);
    expect(cache.find("a", counted) == std::optional<std::uint64_t>(0), "a count of none is known");
    expect(cache.find("b", counted) == std::optional<std::uint64_t>(12), "each key has its count");
    expect(!cache.find("c", counted), "another key is not known");
}

void stale_entries() {
    CountCache cache;
    cache.insert("a", counted, 12);
    FileVersion device = counted, inode = counted, size = counted, modified = counted, changed = counted;
    ++device.device;
    ++inode.inode;
    ++size.size;
    ++modified.modified.tv_nsec;
    ++changed.changed.tv_sec;
    for (const FileVersion& other : {device, inode, size, modified, changed}) {
        expect(!cache.find("a", other), "another version of the file is not known");
    }
    expect(cache.find("a", counted) == std::optional<std::uint64_t>(12), "to be asked for another changes nothing");
    cache.insert("a", changed, 13);
    expect(cache.find("a", changed) == std::optional<std::uint64_t>(13), "the new version takes the old one's place");
    expect(!cache.find("a", counted), "the old version is forgotten");
}

void bound() {
    constexpr std::size_t most = CountCache::most_entries;
    CountCache cache;
    for (std::size_t key = 0; key < most; ++key) {
        cache.insert(std::to_string(key), counted, 10 * key);
    }
    expect(knows_all(cache, 0, most), "as many as its bound are kept");
    cache.insert("5", counted, 50);
    expect(knows_all(cache, 0, most), "an entry that is there already takes no other's place");
    for (std::size_t key = most; key < most + 50; ++key) {
        cache.insert(std::to_string(key), counted, 10 * key);
        if (knows(cache, key - most, 10 * (key - most)) || !knows_all(cache, key - most + 1, key + 1)) {
            expect(false, "one more takes the oldest one's place, and no other's");
            return;
        }
    }
}

}  // namespace

int main() {
    hits();
    stale_entries();
    bound();
    return failures == 0 ? 0 : 1;
}
