// SPDX-License-Identifier: MIT
// Formatters for {fmt}, version 9 and later. Opt-in: not part of the umbrella header, and needs the headers of {fmt}.
#pragma once

#include "spargio/backend.hpp"
#include "spargio/capabilities.hpp"
#include "spargio/error.hpp"
#include "spargio/stats.hpp"

#include <string_view>

#include <fmt/format.h>

namespace spargio::detail {

// Takes the format specification of a string: fill, alignment, width and precision.
struct TextFormatter : fmt::formatter<fmt::string_view> {
    template <class Context>
    auto format_text(std::string_view text, Context& context) const {
        return fmt::formatter<fmt::string_view>::format(fmt::string_view(text.data(), text.size()), context);
    }
};

template <class Enum>
struct ErrorFormatter : TextFormatter {
    template <class Context>
    auto format(Enum error, Context& context) const {
        return format_text(make_error_code(error).message(), context);
    }
};

}  // namespace spargio::detail

/// One line, as to_string(stats).
template <>
struct fmt::formatter<spargio::RuntimeStats> : spargio::detail::TextFormatter {
    template <class Context>
    auto format(const spargio::RuntimeStats& stats, Context& context) const {
        return format_text(spargio::to_string(stats), context);
    }
};

/// Several lines, as capabilities.to_string().
template <>
struct fmt::formatter<spargio::Capabilities> : spargio::detail::TextFormatter {
    template <class Context>
    auto format(const spargio::Capabilities& capabilities, Context& context) const {
        return format_text(capabilities.to_string(), context);
    }
};

/// "auto", "io_uring" or "queue".
template <>
struct fmt::formatter<spargio::BackendKind> : spargio::detail::TextFormatter {
    template <class Context>
    auto format(spargio::BackendKind kind, Context& context) const {
        return format_text(spargio::to_string(kind), context);
    }
};

/// The error enums print the message of their category. For a std::error_code, {fmt} has its own.
template <>
struct fmt::formatter<spargio::RuntimeError> : spargio::detail::ErrorFormatter<spargio::RuntimeError> {};
template <>
struct fmt::formatter<spargio::SendError> : spargio::detail::ErrorFormatter<spargio::SendError> {};
template <>
struct fmt::formatter<spargio::JoinError> : spargio::detail::ErrorFormatter<spargio::JoinError> {};
template <>
struct fmt::formatter<spargio::BoundaryError> : spargio::detail::ErrorFormatter<spargio::BoundaryError> {};
template <>
struct fmt::formatter<spargio::IoError> : spargio::detail::ErrorFormatter<spargio::IoError> {};
