// SPDX-License-Identifier: MIT
// What the second translation unit gives to the first.
#pragma once

#include <spargio/spargio.hpp>

#include <system_error>

spargio::Task<int> twice(int value);
spargio::JoinHandle<int> spawn_here(const spargio::RuntimeHandle& handle, int value);
std::error_code closed_there();
