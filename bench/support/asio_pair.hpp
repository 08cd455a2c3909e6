// SPDX-License-Identifier: MIT
// Two Asio loops on a CPU each, with messages between them.
#pragma once

#include <utility>

#include "support/affinity.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"

namespace bench {

/// Two loops, and a way from each to the other. The threads end before the boxes, and the boxes before the loops.
template <class ToClient, class ToResponder = ToClient>
struct Pair {
    LoopThread client{client_cpu()};
    LoopThread responder{responder_cpu()};
    ToClient to_client{client.executor()};
    ToResponder to_responder{responder.executor()};

    Pair() = default;
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        client.join();
        responder.join();
    }

    /// Runs both coroutines; returns what the client's returns. The responder's must end by itself.
    template <class T>
    T run(Coroutine<T> client_side, Coroutine<void> responder_side) {
        asio::co_spawn(responder.executor(), std::move(responder_side), asio::detached);
        return asio::co_spawn(client.executor(), std::move(client_side), asio::use_future).get();
    }
};

}  // namespace bench
