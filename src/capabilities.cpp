// SPDX-License-Identifier: MIT
// The text of a capability report.
#include "spargio/capabilities.hpp"

#include <algorithm>
#include <string_view>

#include "common_capabilities.hpp"

namespace spargio {
namespace {

struct Feature {
    std::string_view name;
    bool Capabilities::*in_use;
};

constexpr Feature features[] = {
    {"single_issuer", &Capabilities::single_issuer},
    {"defer_taskrun", &Capabilities::defer_taskrun},
    {"coop_taskrun", &Capabilities::coop_taskrun},
    {"taskrun_flag", &Capabilities::taskrun_flag},
    {"no_sqarray", &Capabilities::no_sqarray},
    {"sqpoll", &Capabilities::sqpoll},
    {"registered_ring_fd", &Capabilities::registered_ring_fd},
    {"msg_ring", &Capabilities::msg_ring},
    {"send_msg_ring", &Capabilities::send_msg_ring},
    {"ext_arg", &Capabilities::ext_arg},
};

std::string features_that_are(bool in_use, const Capabilities& capabilities) {
    std::string names;
    for (const Feature& feature : features) {
        if (capabilities.*feature.in_use == in_use) {
            names += names.empty() ? " " : ", ";
            names += feature.name;
        }
    }
    return names.empty() ? " none" : names;
}

}  // namespace

std::string Capabilities::to_string() const {
    std::string text = "backend: ";
    text += spargio::to_string(backend);
    if (!fallback_reason.empty()) {
        text += " (io_uring was not used: " + fallback_reason + ")";
    }
    if (backend == BackendKind::IoUring) {
        text += "\nring entries: " + std::to_string(ring_entries) + " submission, " + std::to_string(cq_entries) +
                " completion";
        text += "\nin use:" + features_that_are(true, *this);
        text += "\nnot in use:" + features_that_are(false, *this);
    }
    for (const std::string& note : notes) {
        text += "\nnote: " + note;
    }
    return text;
}

void detail::keep_common(Capabilities& common, const Capabilities& shard) {
    common.ring_entries = std::min(common.ring_entries, shard.ring_entries);
    common.cq_entries = std::min(common.cq_entries, shard.cq_entries);
    for (const Feature& feature : features) {
        common.*feature.in_use = common.*feature.in_use && shard.*feature.in_use;
    }
    for (const std::string& note : shard.notes) {
        if (std::find(common.notes.begin(), common.notes.end(), note) == common.notes.end()) {
            common.notes.push_back(note);
        }
    }
}

}  // namespace spargio
