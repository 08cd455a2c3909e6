// SPDX-License-Identifier: MIT
// The sleep handshake: no wake is lost, no sleep is rung for twice, no bell reaches a ring that is closed.
//
// One sleeper (a shard), wakers that push items into its inbox, and a stopper that asks it to end. There is no timeout: the
// protocol has to be right without the safety net that the code puts under it. The README maps each step to the code.
//
//   default    the io_uring driver: a bell is a MSG_RING that is on its way for a while and may fail
//   -DFUTEX    the queue driver: the park word is the futex
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define RUNNING  0
#define PARKED   1
#define NOTIFIED 2

#define WAKERS   2
#ifndef ITEMS
#define ITEMS    2
#endif
#define ALL      ((1 << (WAKERS * ITEMS)) - 1)
#define ITEM(waker, nth) (1 << ((waker) * ITEMS + (nth)))
// By symmetry the items of one waker stand for all where a property is about single items.
#define WATCHED  3
#define STOPPER  WAKERS

#ifndef BELL_FAILURES
#define BELL_FAILURES 1
#endif
#ifndef OTHER_WAKES
#define OTHER_WAKES 1
#endif

byte word;
byte inbox;
bool stop;

// What the kernel holds. A bell belongs to the waker that rang it until it has arrived or failed.
#ifdef FUTEX
bool asleep;
#else
byte in_flight[WAKERS + 1];
byte failed[WAKERS + 1];
byte arrived;
byte failures;
short bells_owed;
#endif
bool ring_open = true;

// Bookkeeping for the properties.
byte pushed;
byte taken;
byte due_at_stop;
byte bells_this_sleep;
bool sleeper_ended;
byte wakers_ended;

// --- waker ---

inline ring(me) {
#ifdef FUTEX
    asleep = false
#else
    in_flight[me]++
#endif
}

// W2 and W3. `parked` is what the waker believes of the word; it is forgotten as soon as it has been used.
inline look_at_word() { parked = (word == PARKED) }

inline notify_and_ring(me) {
#ifndef WORD_BEFORE_PUSH
    look_at_word();
#endif
    if
    :: parked ->
        d_step {
#ifndef NOTIFY_BY_STORE
            look_at_word();
#endif
            if
            :: parked -> word = NOTIFIED; bells_this_sleep++; assert(bells_this_sleep == 1)
            :: else
            fi
        };
        if
        :: parked -> d_step { parked = false; ring(me) }
        :: else
        fi
    :: else
    fi
}

// A bell that the kernel refused is rung again by the waker it belongs to.
#ifdef FUTEX
#define RETRY_BELL(me)
#define BELLS_ARE_OUT(me) true
#else
#ifdef FAILED_BELL_FORGOTTEN
#define RETRY_BELL(me) :: failed[me] > 0 -> failed[me]--
#else
#define RETRY_BELL(me) :: failed[me] > 0 -> d_step { failed[me]--; in_flight[me]++ }
#endif
#ifdef ENDS_WITH_BELL_IN_FLIGHT
#define BELLS_ARE_OUT(me) true
#else
#define BELLS_ARE_OUT(me) (in_flight[me] == 0 && failed[me] == 0)
#endif
#endif

proctype waker(byte me) {
    bool parked;
    byte sent;
    bool owes_wake;

    do
    :: sent < ITEMS ->
#ifdef WORD_BEFORE_PUSH
        look_at_word();
#endif
        // W1
        d_step {
            owes_wake = (inbox == 0);
            inbox = inbox | ITEM(me, sent);
            pushed = pushed | ITEM(me, sent);
            sent++
        };
#ifdef PUSHER_SILENT
        owes_wake = false;
#endif
        if
        :: owes_wake -> owes_wake = false; notify_and_ring(me)
        :: else -> parked = false
        fi
    RETRY_BELL(me)
    :: sent == ITEMS && BELLS_ARE_OUT(me) -> break
    od;
    wakers_ended++
}

// The stop flag is set like an item, but nobody else may have taken over the wake: it always notifies.
proctype stopper() {
    bool parked;

    // At any time, or only when all is delivered: a stop that is sure to come would cover for a lost wake.
    if
    :: true
    :: true -> (taken == ALL)
    fi;
#ifdef WORD_BEFORE_PUSH
    look_at_word();
#endif
    d_step { stop = true; due_at_stop = pushed & WATCHED };
    notify_and_ring(STOPPER);
    do
    RETRY_BELL(STOPPER)
    :: BELLS_ARE_OUT(STOPPER) -> break
    od;
    wakers_ended++
}

// --- kernel ---

#ifndef FUTEX
inline handle_bell(owner) {
    in_flight[owner]--;
    assert(ring_open);
    if
    :: failures < BELL_FAILURES -> failures++; failed[owner]++
    :: true -> arrived++
    fi
}

active proctype kernel() {
end_no_bell_on_its_way:
    do
    :: atomic { in_flight[0] > 0 -> handle_bell(0) }
    :: atomic { in_flight[1] > 0 -> handle_bell(1) }
    :: atomic { in_flight[STOPPER] > 0 -> handle_bell(STOPPER) }
    od
}
#endif

// --- sleeper ---

inline reap() {
#ifdef FUTEX
    skip
#else
    bells_owed = bells_owed - arrived;
    arrived = 0
#endif
}

// S3a and S4.
inline resume() {
#ifdef RESUME_BY_STORE
    word = RUNNING;
    bells_owed = 0
#else
    d_step {
        old = word;
        word = RUNNING;
#ifndef FUTEX
        if
        :: old == NOTIFIED -> bells_owed++
        :: else
        fi;
        assert(bells_owed >= 0)
#endif
    }
#endif
}

// S3b: until a bell, or, a bounded number of times, until something that is not a bell (a completion, a signal).
inline block() {
#ifdef FUTEX
#ifdef FUTEX_WITHOUT_COMPARE
    asleep = true;
#else
    asleep = (word == PARKED);
#endif
    if
    :: !asleep
    :: other_wakes < OTHER_WAKES -> asleep = false; other_wakes++
    fi
#else
    if
    :: arrived > 0
    :: other_wakes < OTHER_WAKES -> other_wakes++
    fi;
    d_step { reap() }
#endif
}

inline take_all() {
    d_step { found = (inbox != 0); assert((taken & inbox) == 0); taken = taken | inbox; inbox = 0 }
}

proctype sleeper() {
    byte old;
    byte other_wakes;
    bool stopping;
    bool work;
    bool found;

    do
    :: true ->
        // The stop flag before the inbox: what was pushed before the stop is then found by whoever has seen the stop.
#ifdef STOP_AFTER_DRAIN
        d_step { reap(); take_all() };
        stopping = stop;
#else
        d_step { reap(); stopping = stop };
        take_all();
#endif
        if
        :: found
        :: !found && stopping -> break
        :: else ->
#ifdef RECHECK_BEFORE_PREPARE
            work = (inbox != 0);
            work = (work || stop);
#endif
            // S1
            d_step { word = PARKED; bells_this_sleep = 0 };
            // S2
#ifndef RECHECK_BEFORE_PREPARE
#ifndef NO_RECHECK
            work = (inbox != 0);
#endif
#ifndef NO_RECHECK_OF_STOP
            work = (work || stop);
#endif
#endif
            if
            :: work
            :: else -> block()
            fi;
            work = false;
            resume()
        fi;
        d_step { found = false; stopping = false; old = 0 }
    od;

    // The word says Running from here on: no new bell can be owed. Those that are have to come.
#ifndef FUTEX
#ifndef CLOSES_WITH_BELL_OWED
    do
    :: bells_owed > 0 -> d_step { arrived > 0 -> reap() }
    :: else -> break
    od;
#endif
#endif
    assert(word == RUNNING);
    assert((due_at_stop & taken) == due_at_stop);
    d_step { ring_open = false; sleeper_ended = true }
}

init {
    atomic {
        run sleeper();
        run waker(0);
        run waker(1);
        run stopper()
    }
    // What was pushed after the shard had ended is destroyed when everybody has been joined.
    (sleeper_ended && wakers_ended == WAKERS + 1);
    d_step { assert((taken & inbox) == 0); taken = taken | inbox; inbox = 0; assert(taken == ALL) }
}

// Weak fairness. By symmetry the items of one waker stand for all.
ltl delivered { [] (((pushed & 1) -> <> (taken & 1)) && ((pushed & 2) -> <> (taken & 2))) }
ltl ended     { <> (sleeper_ended && wakers_ended == WAKERS + 1) }
