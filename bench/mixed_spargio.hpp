// SPDX-License-Identifier: MIT
// The mixed workload on spargio: stealable children, reads on the lane of the shard where they run.
#pragma once

#include <spargio/spargio.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "mixed_workloads.hpp"
#include "support/affinity.hpp"

namespace bench::spargio_mixed {

using spargio::JoinHandle;
using spargio::NativeLane;
using spargio::RuntimeHandle;
using spargio::ShardCtx;
using spargio::ShardId;
using spargio::Task;

inline constexpr ShardId shard_of_source = 0;

/// A runtime of two shards, and what its requests share.
class Server {
public:
    Server() {
        for (std::size_t shard = 0; shard < mixed_workers; ++shard) {
            lanes_.push_back(handle_.native_lane(static_cast<ShardId>(shard)).value());
        }
    }

    void run_step(Step& step) { handle_.spawn_pinned(shard_of_source, make_requests(step)).get(); }

private:
    Task<std::uint64_t> run_branch(std::size_t request, std::size_t branch) {
        co_return compute_mixed_branch(request, branch);
    }

    Task<std::uint64_t> run_read(std::uint64_t read, Block& block) {
        const auto& lane = lanes_[ShardCtx::current()->shard_id()];
        const auto got = co_await lane.read_at(fd_, offset_of(read), block.emptied());
        co_return block.value_of(read, got.value_or(0));
    }

    Task<> run_request(Step& step, std::size_t request) {
        BlockStore::Lease blocks(store_);
        std::vector<Task<std::uint64_t>> children;
        children.reserve(children_each);
        for (std::size_t read = 0; read < reads_each; ++read) {
            children.push_back(run_read(read_number(request, read), blocks[read]));
        }
        for (std::size_t branch = 0; branch < branches_each; ++branch) {
            children.push_back(run_branch(request, branch));
        }
        std::uint64_t sum = 0;
        for (const auto result : co_await spargio::spawn_many(std::move(children))) {
            sum += result;
        }
        step.end(request, sum);
    }

    Task<> make_requests(Step& step) {
        std::vector<JoinHandle<void>> requests(requests_each_step);
        step.begin();
        for (std::size_t request = 0; request < requests_each_step; ++request) {
            static_cast<void>(co_await spargio::sleep_until(step.due(request)));
            requests[request] = handle_.spawn_stealable(run_request(step, request));
        }
        for (auto& request : requests) {
            co_await std::move(request);
        }
    }

    const int fd_ = test_file().fd();
    BlockStore store_;
    std::vector<NativeLane> lanes_;
    const spargio::Runtime runtime_ = spargio::RuntimeBuilder()
                                          .backend(spargio::BackendKind::IoUring)
                                          .shards(mixed_workers)
                                          .thread_affinity({nth_cpu(0), nth_cpu(1)})
                                          .build();
    const RuntimeHandle handle_ = runtime_.handle();
};

}  // namespace bench::spargio_mixed
