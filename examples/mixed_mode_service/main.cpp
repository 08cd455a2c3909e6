// SPDX-License-Identifier: MIT
// An Asio server whose work is done by spargio's shards. README.md says in which order to read the files.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <thread>
#include <utility>

#include <asio/thread_pool.hpp>

#include <spargio/spargio.hpp>

#include "cache.hpp"
#include "options.hpp"
#include "service.hpp"
#include "work.hpp"

namespace {

using namespace mixed_mode_service;

constexpr int trouble = 2;

spargio::Runtime build_runtime(const Options& options) {
    spargio::RuntimeBuilder builder;
    builder.backend(options.backend);
    // A job for each file in progress, so that none is refused. They share a few threads, four for each CPU: so a job
    // is short and waits for no client; see count_on_threads() in work.cpp.
    builder.blocking_queue_capacity(options.capacity * files_at_a_time);
    if (options.shards) {
        builder.shards(*options.shards);
    }
    return builder.build();
}

void run(const Options& options) {
    Caches caches;  // The tasks use them, so the runtime, which ends those, comes after.
    spargio::Runtime runtime = build_runtime(options);
    const spargio::RuntimeHandle handle = runtime.handle();
    caches = Caches(runtime.shard_count());
    auto [client, server] = spargio::boundary::channel<Question, Answer>(options.capacity);
    auto serving = handle.spawn_stealable(serve(handle, std::move(server), options.capacity, caches));
    {
        asio::thread_pool pool(std::max(2U, std::thread::hardware_concurrency()));
        Service service(pool, options, std::move(client), handle);
        std::printf("listening on %s\n", service.endpoint().c_str());
        std::fflush(stdout);
        service.start();
        pool.join();
    }
    serving.get();  // No client is left.
}

}  // namespace

int main(int argc, char** argv) {
    const auto options = parse_options(argc, argv);
    if (!options) {
        return trouble;
    }
    if (options->help) {
        std::fputs(usage, stdout);
        return 0;
    }
    try {
        run(*options);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mixed_mode_service: %s\n", error.what());
        return trouble;
    }
}
