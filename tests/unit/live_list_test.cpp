// SPDX-License-Identifier: MIT
// Tests of the list of started tasks.
#include "live_list.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "queues.hpp"

namespace spargio::detail {
namespace {

struct Header : TaskHeader {
    Header() noexcept : TaskHeader(&test::do_nothing, 8) {}
};

/// What the list holds, and that its links agree in both directions.
std::vector<TaskHeader*> content(const LiveList& list) {
    std::vector<TaskHeader*> tasks;
    TaskHeader* before = nullptr;
    for (TaskHeader* task = list.front(); task != nullptr; task = task->live.next) {
        EXPECT_EQ(task->back, before);
        tasks.push_back(task);
        before = task;
    }
    return tasks;
}

TEST(LiveList, StartsEmpty) {
    EXPECT_EQ(LiveList().front(), nullptr);
}

TEST(LiveList, HoldsOneTask) {
    Header task;
    LiveList list;
    list.insert(&task);
    EXPECT_EQ(content(list), std::vector<TaskHeader*>{&task});
    list.remove(&task);
    EXPECT_EQ(list.front(), nullptr);
    EXPECT_EQ(task.live.next, nullptr);
    EXPECT_EQ(task.back, nullptr);
}

// Each way to take out five: the first, the last, and those between, in every order.
TEST(LiveList, LosesWhatIsRemovedInAnyOrder) {
    std::array<std::size_t, 5> order{0, 1, 2, 3, 4};
    do {
        std::array<Header, 5> tasks;
        LiveList list;
        std::vector<TaskHeader*> left;
        for (auto& task : tasks) {
            list.insert(&task);
            left.insert(left.begin(), &task);
        }
        ASSERT_EQ(content(list), left);
        for (const auto index : order) {
            list.remove(&tasks[index]);
            left.erase(std::find(left.begin(), left.end(), &tasks[index]));
            ASSERT_EQ(content(list), left);
        }
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(LiveList, TakesATaskBackFromAnotherList) {
    Header a;
    Header b;
    LiveList first;
    LiveList second;
    first.insert(&a);
    first.insert(&b);
    first.remove(&a);
    second.insert(&a);
    EXPECT_EQ(content(first), std::vector<TaskHeader*>{&b});
    EXPECT_EQ(content(second), std::vector<TaskHeader*>{&a});
}

TEST(LiveList, PopFrontLeavesTheLinksBackAlone) {
    std::array<Header, 3> tasks;
    LiveList list;
    for (auto& task : tasks) {
        list.insert(&task);
    }
    for (auto& task : tasks) {
        task.back = &tasks[0];  // What they are used for meanwhile.
    }
    for (std::size_t i = tasks.size(); i-- != 0;) {
        EXPECT_EQ(list.pop_front(), &tasks[i]);
        EXPECT_EQ(tasks[i].live.next, nullptr);
        EXPECT_EQ(tasks[i].back, &tasks[0]);
    }
    EXPECT_EQ(list.pop_front(), nullptr);
}

}  // namespace
}  // namespace spargio::detail
