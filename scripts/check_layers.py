#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks who includes whom: a file includes only its own layer and lower ones (src/DESIGN.md, "Layers").

Fails on a file that is missing in the table, on an include of a higher layer or of a sibling, on a circle, and on the
system headers that are kept out: <liburing.h> stays behind src/uring.hpp, and no public header makes its users pay for
<iostream>, <regex>, <future>, fmt or Asio. A new file gets a line in LAYERS, the lowest layer that it can live in.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = "include/spargio/"
DETAIL = "include/spargio/detail/"

# (layer, side, folder, files). Two sides of one layer do not know each other; an empty side is on neither. A .cpp is as
# high as what it defines or uses: the functions that a low header only declares may be defined by the machine.
LAYERS = [
    # Words, errors and plain values.
    (0, "", PUBLIC, "backend boundary_stats capabilities config error event placement result shard_id stats version"),
    (0, "", DETAIL, "atomic result_storage seams"),
    (0, "", "src/", "capabilities.cpp common_capabilities.hpp cpu_count.hpp cpu_count.cpp error.cpp runtime_options.hpp"),
    (0, "", "src/", "runtime_options.cpp stats.cpp"),
    # Structures: each is understood, and tested, by itself.
    (1, "", DETAIL, "boundary_call boundary_channel clamp_duration core_ref frame_pool revocable_wait stop_link timer_queue work_item"),
    (1, "", "src/", "adaptive_mutex.hpp adaptive_spin.hpp asymmetric_fence.hpp counter.hpp dirty_set.hpp frame_cache.hpp frame_pool.cpp futex.hpp inbox.hpp membarrier.hpp mpsc_ring.hpp"),
    (1, "", "src/", "park_state.hpp shutdown_sync.hpp spsc_ring.hpp steal_deque.hpp steal_queue.hpp stop_link.hpp stop_link.cpp suspend_hook.hpp thread_spin.hpp thread_spin.cpp threads.hpp"),
    # Tasks on one side, the kernel's ring on the other.
    (2, "task", PUBLIC, "spawnable task"),
    (2, "task", DETAIL, "event_wait fork forked_tasks group join local_fork operation result_slot shard_wait sleep_wait"),
    (2, "task", DETAIL, "task_header ticket_wait"),
    (2, "task", "src/", "live_list.hpp receipts.hpp lane.hpp mailbox.hpp"),
    (2, "ring", "src/", "kernel_abi.hpp uring.hpp uring.cpp uring_faults.hpp uring_setup.hpp uring_setup.cpp"),
    # The machine: shards, what they wait on, and what a runtime shares.
    (3, "", "src/", "blocking_pool.hpp blocking_pool.cpp driver.hpp mailbox.cpp queue_driver.hpp queue_driver.cpp receipts.cpp"),
    (3, "", "src/", "uring_driver.hpp uring_driver.cpp runtime_core.hpp runtime_core.cpp scheduler.hpp"),
    (3, "", "src/", "fork.cpp local_fork.cpp shard.hpp shard_wait.hpp shard_wait.cpp idle.cpp join.cpp shutdown.cpp steal.cpp"),
    (3, "", "src/", "operation.hpp operation.cpp task_header.cpp task_step.cpp uring_operations.hpp uring_operations.cpp"),
    (3, "", "src/", "process_fork.hpp process_fork.cpp revocable_wait.cpp worker_loop.cpp"),
    # What a user holds.
    (4, "", PUBLIC, "fork_join join_handle message native_lane run runtime runtime_builder"),
    (4, "", PUBLIC, "runtime_handle shard_ctx task_group this_task time timeout when_all when_any without_stop"),
    (4, "", DETAIL, "send submit transfer"),
    (4, "", "src/", "group.cpp message.cpp runtime.cpp runtime_builder.cpp scheduler.cpp send.cpp shard.cpp sleep.cpp task_group.cpp"),
    (4, "", "src/", "transfer.cpp"),
    # The door for other threads: above all that it is made of.
    (5, "", PUBLIC, "boundary"),
    (5, "", DETAIL, "boundary_ends boundary_operations"),
    (5, "", "src/", "boundary_call.cpp boundary_channel.hpp boundary_channel.cpp boundary_receive.cpp"),
    # All of it, and what needs another library.
    (6, "", PUBLIC, "asio fmt spargio"),
    (6, "", DETAIL, "asio_call asio_library asio_pending asio_spawn asio_wait"),
]
# Steps over a layer that are known, each with its reason.
EXCEPTIONS = {
    # The user's view of a shard lives in the shard, so that current() is one load.
    ("src/shard.hpp", "include/spargio/shard_ctx.hpp"),
}
OPT_IN = {PUBLIC + "asio.hpp", PUBLIC + "fmt.hpp"}
# The library that each opt-in header, or detail of one, may include.
LIBRARIES = [(PUBLIC + "fmt.hpp", r"fmt/.*"), (DETAIL + "asio_library.hpp", r"(boost/)?asio/.*|boost/.*")]
UMBRELLA = PUBLIC + "spargio.hpp"

HEAVY = re.compile(r"(iostream|regex|future|fmt/.*|asio(/.*|\.hpp)|boost/.*)")
RING = re.compile(r"(liburing(/.*)?\.h|liburing\.h|linux/io_uring\.h)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def table():
    layer_of = {}
    for layer, side, folder, names in LAYERS:
        for name in names.split():
            file = folder + (name if "." in name else name + ".hpp")
            if file in layer_of:
                sys.exit(f"{file} is in the table twice")
            layer_of[file] = (layer, side)
    return layer_of


def files_below(*folders):
    found = []
    for folder in folders:
        for pattern in ("*.hpp", "*.cpp"):
            found += sorted((ROOT / folder).rglob(pattern))
    return [file.relative_to(ROOT).as_posix() for file in found]


def includes(file):
    return [(kind == "<", name) for kind, name in INCLUDE.findall((ROOT / file).read_text(encoding="utf-8"))]


def own_header(file, name):
    """The file of this project that `file` means by `name`, or None."""
    for folder in ((ROOT / file).parent, ROOT / "include", ROOT / "src"):
        candidate = (folder / name).resolve()
        if candidate.is_file() and candidate.is_relative_to(ROOT):
            return candidate.relative_to(ROOT).as_posix()
    return None


def check_file(file, layer_of, problems):
    layer, side = layer_of[file]
    for system, name in includes(file):
        target = own_header(file, name)
        if target is None:
            if name.startswith("spargio/") or not system:
                problems.append(f"{file}: includes {name}, which does not exist")
            if RING.fullmatch(name) and file != "src/uring.hpp":
                problems.append(f"{file}: includes <{name}>; only src/uring.hpp may")
            is_opted = any(file == header and re.fullmatch(library, name) for header, library in LIBRARIES)
            if file.startswith(PUBLIC) and HEAVY.fullmatch(name) and not is_opted:
                problems.append(f"{file}: a public header may not include <{name}>")
            continue
        if target not in layer_of:
            continue  # reported where the table is compared with the tree
        target_layer, target_side = layer_of[target]
        if target_layer > layer and (file, target) not in EXCEPTIONS:
            problems.append(f"{file} (layer {layer}): includes {target} of layer {target_layer}")
        if target_layer == layer and side and target_side and side != target_side:
            problems.append(f"{file} ({side}): includes its sibling {target} ({target_side})")
        if file.startswith("include/") and target.startswith("src/"):
            problems.append(f"{file}: a public header includes the private {target}")
        if target in OPT_IN:
            problems.append(f"{file}: includes {target}, which users opt into")


def check_circles(layer_of, problems):
    graph = {file: [own_header(file, name) for _, name in includes(file)] for file in layer_of}
    done = set()

    def visit(file, path):
        if file in path:
            problems.append("a circle: " + " -> ".join(path[path.index(file):] + [file]))
        elif file in graph and file not in done:
            for target in graph[file]:
                if target:
                    visit(target, path + [file])
            done.add(file)

    for file in graph:
        visit(file, [])


def check_umbrella(problems):
    umbrella = {own_header(UMBRELLA, name) for _, name in includes(UMBRELLA)}
    for header in sorted((ROOT / PUBLIC).glob("*.hpp")):
        file = header.relative_to(ROOT).as_posix()
        if file not in umbrella | OPT_IN | {UMBRELLA}:
            problems.append(f"{UMBRELLA}: does not include {file}")


def check_users(problems):
    """Examples and consumers show what users may do, so they stay out of detail."""
    for file in files_below("examples", "tests/package"):
        for _, name in includes(file):
            if name.startswith("spargio/detail/"):
                problems.append(f"{file}: includes {name}; only public headers are shown to users")


def check_build_list(files, problems):
    """A file that cmake/sources.cmake does not name would be neither built nor installed."""
    text = (ROOT / "cmake/sources.cmake").read_text(encoding="utf-8")
    for file in files:
        if (file.startswith(PUBLIC) or file.endswith(".cpp")) and not re.search(rf"\b{re.escape(file)}\b", text):
            problems.append(f"cmake/sources.cmake: does not list {file}")


def main():
    layer_of = table()
    files = files_below("include", "src")
    problems = [f"{file}: is not in the table of scripts/check_layers.py" for file in files if file not in layer_of]
    problems += [f"{file}: is in the table, but not in the tree" for file in layer_of if file not in files]
    layer_of = {file: place for file, place in layer_of.items() if file in files}
    for file in layer_of:
        check_file(file, layer_of, problems)
    check_circles(layer_of, problems)
    if UMBRELLA in files:
        check_umbrella(problems)
    check_users(problems)
    check_build_list(files, problems)
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problems")
        return 1
    print(f"{len(files)} files keep to their layers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
