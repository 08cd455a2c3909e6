// SPDX-License-Identifier: MIT
// RuntimeBuilder's setters, and the build.
#include "spargio/runtime_builder.hpp"

#include <new>
#include <system_error>
#include <utility>

#include "runtime_core.hpp"
#include "runtime_options.hpp"
#include "shard.hpp"

namespace spargio {

namespace {

struct Built {
    detail::CoreRef core;
    std::optional<detail::BuildFailure> failure;
};

Built build_core(detail::RuntimeOptions options) {
    Built built;
    built.failure = detail::complete_options(options);
    if (!built.failure) {
        built.core = detail::CoreRef(new detail::RuntimeCore(std::move(options)));
        built.failure = built.core->start();
    }
    return built;
}

}  // namespace

RuntimeBuilder::RuntimeBuilder() : options_(std::make_unique<detail::RuntimeOptions>()) {}
RuntimeBuilder::RuntimeBuilder(const RuntimeBuilder& other)
    : options_(std::make_unique<detail::RuntimeOptions>(other.options())) {}
RuntimeBuilder::RuntimeBuilder(RuntimeBuilder&& other) noexcept = default;
RuntimeBuilder& RuntimeBuilder::operator=(RuntimeBuilder other) noexcept {
    std::swap(options_, other.options_);
    return *this;
}
RuntimeBuilder::~RuntimeBuilder() = default;

detail::RuntimeOptions& RuntimeBuilder::options() const noexcept {
    SPARGIO_CHECK(options_ != nullptr, "a RuntimeBuilder was used after it was moved from");
    return *options_;
}

RuntimeBuilder& RuntimeBuilder::shards(std::size_t count) {
    options().shards = count;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::thread_prefix(std::string prefix) {
    options().thread_prefix = std::move(prefix);
    return *this;
}
RuntimeBuilder& RuntimeBuilder::backend(BackendKind kind) {
    options().backend = kind;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::ring_entries(std::uint32_t entries) {
    options().ring_entries = entries;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::msg_ring_queue_capacity(std::size_t capacity) {
    options().msg_ring_queue_capacity = capacity;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::stealable_queue_capacity(std::size_t capacity) {
    options().stealable_queue_capacity = capacity;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::steal_budget(std::size_t tasks) {
    options().steal_budget = tasks;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::idle_spin(std::chrono::microseconds longest) {
    options().idle_spin = longest;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::thread_affinity(std::vector<unsigned> cpus) {
    options().thread_affinity = std::move(cpus);
    return *this;
}
RuntimeBuilder& RuntimeBuilder::blocking_threads(std::size_t threads) {
    options().blocking_threads = threads;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::blocking_queue_capacity(std::size_t jobs) {
    options().blocking_queue_capacity = jobs;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::io_uring_sqpoll(std::optional<std::chrono::milliseconds> idle) {
    options().sqpoll_idle = idle;
    if (!idle) {
        options().sqpoll_cpu.reset();
    }
    return *this;
}
RuntimeBuilder& RuntimeBuilder::io_uring_sqpoll_cpu(std::optional<unsigned> cpu) {
    options().sqpoll_cpu = cpu;  // Alone it implies an idle time: complete_options().
    return *this;
}
RuntimeBuilder& RuntimeBuilder::io_uring_single_issuer(bool on) {
    options().single_issuer = on;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::io_uring_coop_taskrun(bool on) {
    options().coop_taskrun = on;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::io_uring_defer_taskrun(bool on) {
    options().defer_taskrun = on;
    return *this;
}
RuntimeBuilder& RuntimeBuilder::on_unhandled_exception(std::function<void(std::exception_ptr)> hook) {
    options().on_unhandled_exception = std::move(hook);
    return *this;
}

Runtime RuntimeBuilder::build() const {
    auto built = build_core(options());
    if (built.failure) {
        throw std::system_error(built.failure->code, "spargio: " + built.failure->sentence);
    }
    return Runtime(std::move(built.core));
}

Result<Runtime> RuntimeBuilder::try_build() const {
    try {
        auto built = build_core(options());
        if (built.failure) {
            return built.failure->code;
        }
        return Runtime(std::move(built.core));
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    }
}

}  // namespace spargio
