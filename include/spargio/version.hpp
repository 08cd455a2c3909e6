// SPDX-License-Identifier: MIT
// The version of the library, for the preprocessor and for programs that print it.
#pragma once

#include <string_view>

#define SPARGIO_VERSION_MAJOR 0
#define SPARGIO_VERSION_MINOR 1
#define SPARGIO_VERSION_PATCH 0

#define SPARGIO_DETAIL_STRINGIFY_2(x) #x
#define SPARGIO_DETAIL_STRINGIFY(x) SPARGIO_DETAIL_STRINGIFY_2(x)

namespace spargio {

/// "major.minor.patch" of the headers a program was compiled with.
inline constexpr std::string_view version =
    SPARGIO_DETAIL_STRINGIFY(SPARGIO_VERSION_MAJOR) "." SPARGIO_DETAIL_STRINGIFY(
        SPARGIO_VERSION_MINOR) "." SPARGIO_DETAIL_STRINGIFY(SPARGIO_VERSION_PATCH);

}  // namespace spargio

#undef SPARGIO_DETAIL_STRINGIFY
#undef SPARGIO_DETAIL_STRINGIFY_2
