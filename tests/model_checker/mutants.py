# SPDX-License-Identifier: MIT
"""The mistakes that the scenarios must catch, as exact replacements of text in a header."""
from dataclasses import dataclass

DEQUE = "src/steal_deque.hpp"
FENCE = "src/asymmetric_fence.hpp"
INBOX = "src/inbox.hpp"
PARK = "src/park_state.hpp"


@dataclass
class Mutant:
    file: str
    name: str
    edits: list  # Pairs: the text, and what takes its place.
    equal: str = ""  # Why it cannot be caught: the mistake is none, or the checker's memory is stricter than C++20.


def order(file, name, line, old, new, equal=""):
    """In one line, or what begins with it, another memory order."""
    assert line.count(old) == 1, name
    return Mutant(file, name, [(line, line.replace(old, new))], equal)


SC, ACQ, REL, RLX = (f"std::memory_order_{name}" for name in ("seq_cst", "acquire", "release", "relaxed"))

# The operations of StealDeque that have an order, each with enough of its text to be found once.
ROOM_TOP = f"seen_top_ = top_.load({ACQ});"
PUSH_SHOWN = f"bottom_.store(end, {REL});"
PUSH_LIGHT = "if (const auto seen = fence_.look(); !seen.light()) {\n            bottom_"
PUSH_BOTTOM = f"bottom_.store(end, {SC});"
POP_FIRST = f"if (top_.load({RLX}) > newest)"
POP_SHOWN = f"bottom_.store(newest, {REL});"
POP_LIGHT = "if (const auto seen = fence_.look(); !seen.light()) {\n            return"
POP_LIGHT_TOP = f"if (top_.load({ACQ}) > newest)"
POP_BOTTOM = f"bottom_.store(newest, {SC});"
POP_TOP = f"auto top = top_.load({SC});\n        if (top < newest)"
POP_LAST = f"top_.compare_exchange_strong(top, top + 1, {SC}, {ACQ})"
POP_LIGHT_RESTORE = f"bottom_.store(newest + 1, {RLX});\n            return nullptr;"
POP_RESTORE = f"bottom_.store(newest + 1, {RLX});\n        return item;"
STEAL_TOP = f"auto top = top_.load({SC});\n            // Acquires"
STEAL_BOTTOM = f"if (top >= bottom_.load({SC}))"
STEAL_SLOT = f"WorkItem* item = slot(top).load({RLX});"
STEAL_LAST = f"top_.compare_exchange_strong(top, top + 1, {SC}, {RLX})"
STEAL_TAKEN = STEAL_LAST + """) {
                return item;"""
SIZE_TOP = f"const auto top = top_.load({SC});"
SIZE_BOTTOM = f"const auto bottom = bottom_.load({SC});"

# The same of AsymmetricFence.
AR = "std::memory_order_acq_rel"
LOOK = f"return Seen(word_.load({ACQ}));"
BEGIN_WORD = f"auto word = word_.load({SC});"
BEGIN_CHANGING = f"word_.compare_exchange_strong(word, changing, {AR}, {ACQ})"
BEGIN_PASSED = f"word_.compare_exchange_strong(word, word + 1, {AR}, {ACQ});\n        return true;"
PASSED_BY_ALL = "may be weaker: who reads the word behind it has passed the same barrier; race checkers do not know it"
OFFER = f"""word_.compare_exchange_strong(word, word + kOffered, {SC},
                                           {RLX})"""
OFFER_LIGHT = f"word_.compare_exchange_strong(word, next, {AR}, {RLX});"

# The same of Inbox and ParkState.
INSERT = f"{SC}, {RLX}));"
TAKE = f"head_.fetch_and(kClosed, {SC})"
EMPTY = f"(head_.load({SC}) & ~kClosed) == 0"
PREPARE = f"word_.store(parked, {SC})"
RESUME = f"word_.exchange(running, {SC}) == notified"
NOTIFY_LOOK = f"auto expected = word_.load({SC});"
NOTIFY = f"word_.compare_exchange_strong(expected, notified, {SC}, {RLX})"

MUTANTS = [
    # push_many()
    order(DEQUE, "push: room by a relaxed top", ROOM_TOP, ACQ, RLX),
    order(DEQUE, "push: shown relaxed", PUSH_SHOWN, REL, RLX),
    order(DEQUE, "push: bottom released", PUSH_BOTTOM, SC, REL),
    order(DEQUE, "push: bottom relaxed", PUSH_BOTTOM, SC, RLX),
    Mutant(DEQUE, "push: always light", [(PUSH_LIGHT, PUSH_LIGHT.replace("!seen.light()", "false"))]),
    Mutant(DEQUE, "push: room for one more", [("return capacity() -", "return capacity() + 1 -")]),
    Mutant(DEQUE, "push: bottom before the slots",
           [(PUSH_SHOWN, ""), ("for (std::size_t i = 0; i < count; ++i) {",
                               PUSH_SHOWN.replace("end", "bottom + std::int64_t(count)") +
                               "\nfor (std::size_t i = 0; i < count; ++i) {")]),
    Mutant(DEQUE, "push: takes all it is asked to",
           [("count = count < left ? count : left;", "static_cast<void>(left);")]),
    Mutant(DEQUE, "push: never looks at top again", [(ROOM_TOP, "")]),

    # pop()
    order(DEQUE, "pop: shown relaxed", POP_SHOWN, REL, RLX),
    Mutant(DEQUE, "pop: always light", [(POP_LIGHT, POP_LIGHT.replace("!seen.light()", "false"))]),
    order(DEQUE, "pop: top relaxed, light", POP_LIGHT_TOP, ACQ, RLX),
    Mutant(DEQUE, "pop: no second look at top", [(POP_LIGHT_TOP, "if (false)")]),
    Mutant(DEQUE, "pop: looks who seeks before it stores",
           [(POP_SHOWN, "const auto seen = fence_.look();\n" + POP_SHOWN),
            (POP_LIGHT, POP_LIGHT.replace("const auto seen = fence_.look(); ", ""))]),
    Mutant(DEQUE, "pop: no fence where it acknowledges",
           [(POP_BOTTOM + "\n", f"if (!seen.changing()) {POP_BOTTOM}\n")]),
    order(DEQUE, "pop: bottom released", POP_BOTTOM, SC, REL),
    order(DEQUE, "pop: bottom relaxed", POP_BOTTOM, SC, RLX),
    order(DEQUE, "pop: top acquired", POP_TOP, SC, ACQ),
    order(DEQUE, "pop: top relaxed", POP_TOP, SC, RLX),
    order(DEQUE, "pop: compare relaxed", POP_LAST, SC, RLX,
          "may be weaker: the owner wrote the item and reads the slots itself; top grows by a read-modify-write anyway"),
    order(DEQUE, "pop: failed compare relaxed", POP_LAST, ACQ, RLX),
    Mutant(DEQUE, "pop: top before bottom",
           [(POP_SHOWN, ""), (POP_BOTTOM, ""), (POP_TOP, POP_TOP.replace("\n", POP_BOTTOM, 1))]),
    Mutant(DEQUE, "pop: no compare for the last item", [("if (top < newest) {", "if (top <= newest) {")]),
    Mutant(DEQUE, "pop: the last item also when the compare fails", [(POP_LAST, f"({POP_LAST}, true)")]),
    Mutant(DEQUE, "pop: compare when it is empty", [("if (top == newest &&", "if (")]),
    Mutant(DEQUE, "pop: bottom is not restored", [(POP_RESTORE, "return item;")]),
    Mutant(DEQUE, "pop: bottom is not restored, light", [(POP_LIGHT_RESTORE, "return nullptr;")]),
    Mutant(DEQUE, "pop: no look at top first", [(POP_FIRST, "if (false)")],
           "a short cut: an empty deque goes the long way, and ends with bottom restored"),

    # steal()
    order(DEQUE, "steal: top acquired", STEAL_TOP, SC, ACQ,
          "the checker's single order agrees with happens-before, as C++11's; C++20's need not, so it is needed there"),
    order(DEQUE, "steal: top relaxed", STEAL_TOP, SC, RLX),
    order(DEQUE, "steal: bottom acquired", STEAL_BOTTOM, SC, ACQ),
    order(DEQUE, "steal: bottom relaxed", STEAL_BOTTOM, SC, RLX),
    order(DEQUE, "steal: compare released", STEAL_LAST, SC, REL,
          "may be weaker: in C++20 the look at top orders it; C++17 let the owner's look at top miss what is not seq_cst"),
    order(DEQUE, "steal: compare acquired", STEAL_LAST, SC, ACQ),
    order(DEQUE, "steal: compare relaxed", STEAL_LAST, SC, RLX),
    Mutant(DEQUE, "steal: bottom before top", [(STEAL_TOP, f"const auto bottom = bottom_.load({SC});\n" + STEAL_TOP),
                                               (STEAL_BOTTOM, "if (top >= bottom)")]),
    Mutant(DEQUE, "steal: also from an empty one", [(STEAL_BOTTOM, f"if (top > bottom_.load({SC}))")]),
    Mutant(DEQUE, "steal: bottom is not looked at", [(STEAL_BOTTOM, "if (false)")]),
    Mutant(DEQUE, "steal: a store instead of the compare",
           [(STEAL_TAKEN, STEAL_TAKEN.replace(STEAL_LAST, f"top_.store(top + 1, {SC}), true"))]),
    Mutant(DEQUE, "steal: the slot is read after the compare",
           [(STEAL_TAKEN, STEAL_TAKEN.replace("item", f"slot(top).load({RLX})")), (STEAL_SLOT, "")]),

    # size()
    order(DEQUE, "size: top acquired", SIZE_TOP, SC, ACQ,
          "may be weaker: acquire keeps the look at bottom behind it, and an old top only makes the size too large"),
    order(DEQUE, "size: top relaxed", SIZE_TOP, SC, RLX),
    order(DEQUE, "size: bottom acquired", SIZE_BOTTOM, SC, ACQ),
    order(DEQUE, "size: bottom relaxed", SIZE_BOTTOM, SC, RLX),
    Mutant(DEQUE, "size: bottom before top", [(SIZE_TOP, ""), (SIZE_BOTTOM, SIZE_BOTTOM + SIZE_TOP)]),

    order(DEQUE, "acknowledged: relaxed", f"acknowledged_.store(seen.word(), {REL});", REL, RLX),
    order(DEQUE, "acknowledged: read relaxed", f"return acknowledged_.load({ACQ});", ACQ, RLX),

    # Who fences.
    order(FENCE, "look: relaxed", LOOK, ACQ, RLX),
    order(FENCE, "begin: word acquired", BEGIN_WORD, SC, ACQ),
    order(FENCE, "begin: word relaxed", BEGIN_WORD, SC, RLX),
    Mutant(FENCE, "begin: not from offered", [("word % 4 == kOffered || ", "")]),
    Mutant(FENCE, "begin: not from light", [(" || word % 4 == kLight) {", ") {")]),
    Mutant(FENCE, "begin: no barrier beside another's", [("if (word % 4 == kSymmetric) {\n            return true;",
                                                         "if (word % 4 == kSymmetric || own == 0) {\n            return true;"),
                                                        ("word = changing;", "word = changing;\n++own;"),
                                                        ("while (word % 4", "int own = 0;\nwhile (word % 4")]),
    Mutant(FENCE, "begin: no barrier", [("if (!barrier()) {", "if (false) {")]),
    Mutant(FENCE, "begin: the barrier before the word", [("while (word % 4", "static_cast<void>(barrier());\nwhile (word % 4"),
                                                         ("if (!barrier()) {", "if (false) {")]),
    Mutant(FENCE, "begin: a refused barrier is one that was passed", [("return false;", "return true;")]),
    Mutant(FENCE, "begin: symmetric although the barrier was refused",
           [("return false;", f"word_.compare_exchange_strong(word, word + 1, {AR}, {ACQ});\nreturn false;")]),
    order(FENCE, "begin: passed relaxed", BEGIN_PASSED, AR, RLX, PASSED_BY_ALL),
    order(FENCE, "begin: changing relaxed", BEGIN_CHANGING, AR, RLX, PASSED_BY_ALL),
    order(FENCE, "begin: failed change relaxed", BEGIN_CHANGING, ACQ, RLX),
    order(FENCE, "offer: offered by acq_rel", OFFER, SC, AR),
    order(FENCE, "offer: light acquired", OFFER_LIGHT, AR, ACQ),
    Mutant(FENCE, "offer: whoever seeks", [("nobody_seeks() ? word + 1 : word + 3", "word + 1")]),
    Mutant(FENCE, "offer: who seeks is asked first",
           [("word += kOffered;", ""), ("auto word = word_.load(std::memory_order_relaxed);",
                                        "const bool nobody = nobody_seeks();\nauto word = word_.load(std::memory_order_relaxed);"),
            ("nobody_seeks() ? word + 1 : word + 3", "nobody ? word + 2 : word + 4")]),
    Mutant(FENCE, "offer: light at once", [("word + kOffered,", "word + kLight,"), ("word += kOffered;", "word += kLight;"),
                                           ("nobody_seeks() ? word + 1 : word + 3", "nobody_seeks() ? word : word + 2")]),

    Mutant(FENCE, "states do not count", [(BEGIN_PASSED, BEGIN_PASSED.replace("word + 1", "kSymmetric")),
                                          ("nobody_seeks() ? word + 1 : word + 3", "nobody_seeks() ? kLight : kSymmetric")]),

    # The inbox, and the park word.
    order(INBOX, "insert: released", INSERT, SC, REL),
    order(INBOX, "insert: acquired", INSERT, SC, ACQ),
    order(INBOX, "insert: relaxed", INSERT, SC, RLX),
    order(INBOX, "take_all: acquired", TAKE, SC, ACQ,
          "may be weaker: it reads the last value anyway, and before it sleeps the shard asks empty()"),
    order(INBOX, "take_all: released", TAKE, SC, REL),
    order(INBOX, "take_all: relaxed", TAKE, SC, RLX),
    order(INBOX, "empty: acquired", EMPTY, SC, ACQ),
    order(INBOX, "empty: relaxed", EMPTY, SC, RLX),
    Mutant(INBOX, "insert: owes a wake by an old look",
           [("std::uintptr_t head = 0;",
             "std::uintptr_t head = head_.load(std::memory_order_relaxed);\nconst auto look = head;"),
            ("return (head & ~kClosed) == 0", "return (look & ~kClosed) == 0")]),
    Mutant(INBOX, "insert: opens a closed inbox",
           [("reinterpret_cast<std::uintptr_t>(item) | (head & kClosed)", "reinterpret_cast<std::uintptr_t>(item)")]),
    Mutant(INBOX, "take_all: load, then store",
           [(TAKE, f"[this] {{ auto h = head_.load({SC}); head_.store(h & kClosed, {SC}); return h; }}()")]),
    Mutant(INBOX, "take_all: opens a closed inbox", [(TAKE, f"head_.exchange(0, {SC})")]),
    Mutant(INBOX, "take_all: the youngest first", [("item->next = oldest_first;\n            oldest_first = item;",
                                                    "out.push_back(item);\n            ++early;"),
                                                   ("WorkItem* oldest_first = nullptr;",
                                                    "WorkItem* oldest_first = nullptr;\nstd::size_t early = 0;"),
                                                   ("return count;", "return count + early;")]),
    order(PARK, "prepare: released", PREPARE, SC, REL),
    order(PARK, "prepare: relaxed", PREPARE, SC, RLX),
    order(PARK, "notify: word acquired", NOTIFY_LOOK, SC, ACQ),
    order(PARK, "notify: word relaxed", NOTIFY_LOOK, SC, RLX),
    Mutant(PARK, "notify: by a store", [(NOTIFY, f"(word_.store(notified, {SC}), true)")]),
    Mutant(PARK, "resume: load, then store", [(RESUME, f"[this] {{ auto w = word_.load({SC}); word_.store(running, {SC}); "
                                                       "return w; }() == notified")]),
]
