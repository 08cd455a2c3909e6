// SPDX-License-Identifier: MIT
// How many CPUs this process may use.
#pragma once

#include <cstddef>
#include <string>

namespace spargio::detail {

/// What the cgroup's CPU quota (v2 or v1) allows, rounded up; the largest number where there is none. Reads /proc and
/// /sys, which takes some 17 us, once a second at most: what was read less than a second ago is given again. Any
/// thread.
[[nodiscard]] std::size_t quota_cpus() noexcept;
/// In a child of fork(), which may be put into another cgroup: the next quota_cpus() reads.
void forget_quota() noexcept;

/// CPUs of the affinity mask, or fewer if the quota allows less; at least 1.
[[nodiscard]] std::size_t usable_cpus(std::size_t quota = quota_cpus()) noexcept;

/// The same from the files named: the list of the process' groups, and the folder where their files are. Throws what is
/// no number.
[[nodiscard]] std::size_t quota_cpus_of(const std::string& membership, const std::string& mount);

}  // namespace spargio::detail
