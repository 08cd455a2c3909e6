// SPDX-License-Identifier: MIT
// The shards' side of the boundary: takes questions, answers them.
#pragma once

#include <cstddef>

#include <spargio/spargio.hpp>

#include "cache.hpp"
#include "protocol.hpp"

namespace mixed_mode_service {

using Client = spargio::boundary::Client<Question, Answer>;
using Server = spargio::boundary::Server<Question, Answer>;

/// How many files of one question are worked on at a time.
inline constexpr std::size_t files_at_a_time = 8;

/// Serves until no client is left and all questions have ended. `capacity` questions are worked on at a time; more are
/// answered BUSY. `caches` outlives the runtime.
spargio::Task<> serve(spargio::RuntimeHandle runtime, Server server, std::size_t capacity, Caches& caches);

}  // namespace mixed_mode_service
