// SPDX-License-Identifier: MIT
// Owning references to the two ends of a boundary channel, and to the channel itself.
#pragma once

#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/boundary_channel.hpp"

namespace spargio::detail {

// The destructors are not inline: in a std::optional GCC 12 would warn, in users' code, that what is destroyed may be
// unset.

/// One of a channel's clients. Copyable; any thread.
class ClientEnd {
public:
    /// The first one: takes over the client that a new channel has.
    explicit ClientEnd(Channel* channel) noexcept : channel_(channel) {}
    ClientEnd(const ClientEnd& other) noexcept : channel_(other.channel_) {
        if (channel_ != nullptr) {
            add_client(*channel_);
        }
    }
    ClientEnd(ClientEnd&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
    ClientEnd& operator=(ClientEnd other) noexcept {
        std::swap(channel_, other.channel_);
        return *this;
    }
    ~ClientEnd();

    [[nodiscard]] Channel& operator*() const noexcept {
        SPARGIO_CHECK(channel_ != nullptr,
                      "a boundary::Client was used after it was moved from, or its call a second time");
        return *channel_;
    }

    /// A call that has begun is no client.
    void drop() noexcept { *this = ClientEnd(nullptr); }

private:
    Channel* channel_;
};

/// The channel's only server.
class ServerEnd {
public:
    explicit ServerEnd(Channel* channel) noexcept : channel_(channel) {}
    ServerEnd(ServerEnd&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
    ServerEnd(const ServerEnd&) = delete;
    ServerEnd& operator=(const ServerEnd&) = delete;
    ServerEnd& operator=(ServerEnd&& other) noexcept {
        ServerEnd taken(std::move(other));
        std::swap(channel_, taken.channel_);
        return *this;
    }
    ~ServerEnd();

    [[nodiscard]] Channel& operator*() const noexcept {
        SPARGIO_CHECK(channel_ != nullptr, "a boundary::Server was used after it was moved from");
        return *channel_;
    }

private:
    Channel* channel_;
};

/// Keeps the channel's memory, and neither of its ends.
class ChannelRef {
public:
    explicit ChannelRef(Channel& channel) noexcept : channel_(&channel) { add_reference(channel); }
    ChannelRef(ChannelRef&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {}
    ChannelRef(const ChannelRef&) = delete;
    ChannelRef& operator=(const ChannelRef&) = delete;
    ChannelRef& operator=(ChannelRef&&) = delete;
    ~ChannelRef();

    [[nodiscard]] Channel& operator*() const noexcept { return *channel_; }

private:
    Channel* channel_;
};

/// The server's side of a call that was taken: the call's second owner, and a reference to its channel.
template <class Req, class Rep>
class TakenCall {
public:
    /// Takes over both from a receive.
    explicit TakenCall(CallHeader* call) noexcept : call_(static_cast<Call<Req, Rep>*>(call)) {}
    TakenCall(TakenCall&& other) noexcept
        : call_(std::exchange(other.call_, nullptr)), answered_(std::exchange(other.answered_, true)) {}
    TakenCall(const TakenCall&) = delete;
    TakenCall& operator=(const TakenCall&) = delete;
    TakenCall& operator=(TakenCall&& other) noexcept {
        TakenCall taken(std::move(other));
        std::swap(call_, taken.call_);
        std::swap(answered_, taken.answered_);
        return *this;
    }
    ~TakenCall() {
        if (call_ == nullptr) {
            return;
        }
        call_->request.reset();
        if (!answered_) {
            static_cast<void>(finish(call_->expired() ? CallEnd::TimedOut : CallEnd::Canceled));
        }
        Channel* channel = call_->channel;
        release_call(*call_);
        drop_reference(channel);
    }

    [[nodiscard]] Call<Req, Rep>& operator*() const noexcept {
        SPARGIO_CHECK(call_ != nullptr, "a boundary::Request was used after it was moved from");
        return *call_;
    }
    Call<Req, Rep>* operator->() const noexcept { return &**this; }
    [[nodiscard]] bool answered() const noexcept { return answered_; }

    /// Ends the call; the state before.
    std::uintptr_t finish(CallEnd end) noexcept {
        answered_ = true;
        return finish_call(*call_, end);
    }

private:
    Call<Req, Rep>* call_;
    bool answered_ = false;
};

}  // namespace spargio::detail
