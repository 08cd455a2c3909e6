// SPDX-License-Identifier: MIT
// AdaptiveMutex: one word says whether it is locked, whether one who slept was woken and has not gone on yet, and how many
// sleep or are about to, that one included.
//
// Each thread locks and unlocks SECTIONS times. A look that finds the mutex free takes it; at any look that does not, a
// thread may give up spinning. The kernel wakes any one of those who sleep; NAPS sleeps of each thread end for no reason:
// none, too, since a nap that may still end saves whoever would sleep for ever.
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define THREADS 3
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef NAPS
#define NAPS 0
#endif

bool locked;
bool woken;
byte sleepers;
byte inside;  // The section.
byte ended;
bool asleep[THREADS];  // In the kernel.

// What of the word is a thread's once it has slept.
#ifdef LEAVES_THE_MARK
#define TAKE_THE_MARK
#else
#define TAKE_THE_MARK if :: mine -> woken = false :: else fi
#endif

#ifdef SLEEPS_THOUGH_FREE
#define MAY_SLEEP true
#else
#define MAY_SLEEP locked
#endif

#ifdef WAITS_WITHOUT_COMPARING
#define UNCHANGED true
#elif defined(COMPARES_THE_LOCK_ONLY)
#define UNCHANGED (locked == was_locked)
#elif defined(COMPARES_THE_SLEEPERS_ONLY)
#define UNCHANGED (sleepers == seen)
#else
#define UNCHANGED (locked == was_locked && woken == was_woken && sleepers == seen)
#endif

proctype thread(byte me) {
    byte sections;
    byte naps;
    bool mine;        // One of the sleepers is this one.
    byte seen;        // The word as it was left.
    bool was_locked;
    bool was_woken;
    bool wakes;

again:
    // The looks.
    if
    :: d_step {
            !locked ->
            locked = true;
            TAKE_THE_MARK;
#ifndef STAYS_IN_THE_WORD
            sleepers = sleepers - mine;
#endif
            mine = false;
            inside++;
            assert(inside == 1)
        }
        goto section
    :: locked  // Enough of them.
    fi;
    // Enters the word, or stays in it, if it is still locked.
    if
    :: d_step {
            MAY_SLEEP ->
#ifdef ENTERS_WITH_THE_MARK
            TAKE_THE_MARK;
#else
            woken = false;
#endif
            sleepers = sleepers + 1 - mine;
            mine = true;
            seen = sleepers;
            was_locked = locked;
            was_woken = woken
        }
    :: !locked -> goto again
    fi;
    // The kernel compares the word, and lets it sleep, in one step.
    if
    :: d_step { UNCHANGED -> asleep[me] = true }
    :: !UNCHANGED
    fi;
    if
    :: !asleep[me]
#if NAPS
    :: d_step { asleep[me] && naps < NAPS -> asleep[me] = false; naps++ }
#endif
    fi;
    d_step { seen = 0; was_locked = false; was_woken = false }
    goto again;

section:
    sections++;
#ifdef LOOKS_BEFORE_UNLOCKING
    wakes = (sleepers > 0 && !woken);
#endif
    d_step {
        inside--;
        locked = false;
#ifndef LOOKS_BEFORE_UNLOCKING
        wakes = (sleepers > 0 && !woken);
#endif
        if :: wakes -> woken = true :: else fi
    }
    if
#ifndef WAKES_NOBODY
    :: d_step { wakes && asleep[0] -> asleep[0] = false }
    :: d_step { wakes && asleep[1] -> asleep[1] = false }
    :: d_step { wakes && asleep[2] -> asleep[2] = false }
#endif
#ifdef WAKES_NOBODY
    :: true
#else
    :: !wakes || (!asleep[0] && !asleep[1] && !asleep[2])
#endif
    fi;
    wakes = false;
    if
    :: sections < SECTIONS -> goto again
    :: else
    fi;
    ended++
}

init {
    atomic { run thread(0); run thread(1); run thread(2) }
    ended == THREADS;
    assert(!locked && !woken && sleepers == 0)
}

ltl everybody_ends { <> (ended == THREADS) }
