// SPDX-License-Identifier: MIT
// How a call across the boundary ends, for its caller, its server and the memory of both: once.
//
// Per call c one block with two owners, the caller and the server's side (the queue, then the Request), and one word:
//   word[c]  Idle, or WAITER (a task, by its address), or SLEEPS (a thread), then final: DONE, LEFT, or LATE: left because
//            its deadline has passed; plus TAKEN: the call is not in the queue any more
//   stop[c]  of a task that waits: as in join.pml
// The channel's memory is counted: all clients have one reference, the server one, each Request one. A caller has none: one
// that leaves and does not find TAKEN goes to the queue, under the lock, and whoever takes the call out first and finds it
// left keeps a reference for it. The README maps each step to the code.
//
// A caller waits as a task that may be stopped, waits as a thread, with or without a time-out, or leaves at once.
// A server takes calls, finds some of them expired, and goes at any moment; a request is answered or destroyed at any later one,
// by somebody else. What is done under the channel's lock is one step, but for the word, which callers change without it.
//
// A call's deadline passes at any moment, or never. Only who looks at the clock can tell, so it passes in a look, and later looks
// agree: passed[c]. Who has looked may act later. The caller, the server and the counters give one reason for the end.
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define IDLE   0
#define TAKEN  1
#define WAITER 8
#define SLEEPS 16
#define LEFT   32
#define LATE   64
#define DONE   128
#define STATE(seen) ((seen) & ~TAKEN)
#define IS_LEFT(state) ((state) == LEFT || (state) == LATE)

#define STOPPED     1
#define WAITING     2
#define HANDED_OVER 4

#define NOTHING   0
#define ANSWERED  1
#define TIMED_OUT 2
#define CANCELED  3
#define CLOSED    4

// Of a call that was given up.
#define GONE(is_late)   ((is_late) -> LATE : LEFT)
#define REASON(is_late) ((is_late) -> TIMED_OUT : CANCELED)

#ifndef CALLS
#define CALLS 1
#endif
#ifndef CANCELLERS
#define CANCELLERS 1  // Of each call.
#endif

byte word[CALLS];
byte owners[CALLS];
byte end[CALLS];
bool entered[CALLS];
bool queued[CALLS];
bool request_there[CALLS];
bool reply_there[CALLS];
bool freed[CALLS];
bool passed[CALLS];  // Its deadline.

byte references = 2;
bool server_gone;
bool channel_freed;

byte stop[CALLS];
bool wait_open[CALLS];  // What lies in the waiting task's frame is there.
byte resumes[CALLS];
bool asleep[CALLS];

// What each side believes.
byte outcome[CALLS];
byte told[CALLS];  // By respond().
typedef counters { byte as[5] }
counters counted[CALLS];
#define COUNTED_IF_ENDED_AS(c, how) (counted[c].as[how] == (outcome[c] == how))
byte callers_ended;
byte requests;
byte requests_ended;
byte cancellers_ended;
bool server_ended;
bool clients_ended;

// One read-modify-write each; `old` is what it found.
inline compare_exchange(place, from, to, old) { d_step { old = place; if :: old == from -> place = to :: else fi } }
inline exchange(place, to, old)               { d_step { old = place; place = to } }
inline fetch_or(place, bits, old)             { d_step { old = place; place = place | bits } }

inline touch_call(c)    { assert(!freed[c]) }
inline touch_channel()  { assert(!channel_freed) }
inline touch_wait(c)    { assert(wait_open[c]) }

inline release_call(c) {
    d_step { touch_call(c); assert(owners[c] > 0); owners[c]--; if :: owners[c] == 0 -> freed[c] = true :: else fi }
}
inline drop_reference() {
    d_step { touch_channel(); assert(references > 0); references--; if :: references == 0 -> channel_freed = true :: else fi }
}
inline drop_request(c) { d_step { touch_call(c); assert(request_there[c]); request_there[c] = false } }

inline look_at_clock(c, is_late) {
    if
    :: d_step { touch_call(c); passed[c] = true; is_late = true }
    :: d_step { !passed[c] -> touch_call(c); is_late = false }
    fi
}

inline schedule(c) { d_step { touch_wait(c); assert(resumes[c] == 0); resumes[c]++ } }

// Ends the wait of a task that is out of the word.
inline end_wait(c, old) {
    touch_wait(c);
#ifdef RESUMES_WITHOUT_DISARM
    schedule(c);
#else
    compare_exchange(stop[c], WAITING, 0, old);
    if
    :: old == WAITING -> schedule(c)
    :: else ->
        fetch_or(stop[c], HANDED_OVER, old);
        if
        :: (old & WAITING) -> skip
        :: else -> stop[c] = STOPPED; schedule(c)
        fi
    fi
#endif
}

// Under the lock. Whether somebody waits for the call.
inline mark_taken(c, wanted) {
    queued[c] = false;
    touch_call(c);
#ifdef TAKEN_UNMARKED
    wanted = !IS_LEFT(STATE(word[c]));
#else
    wanted = !IS_LEFT(STATE(word[c]));
    word[c] = word[c] | TAKEN;
#endif
#ifndef NO_REFERENCE_KEPT
    if :: !wanted -> references++ :: else fi
#endif
}

// The server's side ends the call; `old` is the state before.
inline finish(c, how, old, seen) {
    d_step { touch_call(c); touch_channel(); end[c] = how; counted[c].as[how]++ }
#ifdef DONE_BY_STORE
    d_step { old = STATE(word[c]) };
    word[c] = DONE | TAKEN;
#else
    do
    :: d_step { touch_call(c); seen = word[c]; old = STATE(seen) }
        if
        :: IS_LEFT(old) ->
            d_step {  // It was counted too early.
                touch_channel();
                counted[c].as[how]--;
#ifdef LATE_COUNTED_AS_LEFT
                counted[c].as[CANCELED]++
#else
                counted[c].as[REASON(old == LATE)]++
#endif
            }
            break
        :: else ->
            compare_exchange(word[c], seen, (DONE | TAKEN), old);
            if
            :: old == seen -> old = STATE(seen); break
            :: else
            fi
        fi
    od;
#endif
    if
#ifdef WHOLE_WORD_IS_THE_STATE
    :: old == SLEEPS && !(seen & TAKEN) -> asleep[c] = false
#else
    :: old == SLEEPS -> asleep[c] = false
#endif
    :: old == WAITER -> end_wait(c, seen)
    :: else
    fi
}

// The caller goes; `old` is the state before, DONE if it has ended.
inline leave(c, is_late, old, seen) {
#ifdef LEFT_BY_STORE
    d_step { touch_call(c); seen = word[c]; old = STATE(seen) };
    if :: old != DONE -> word[c] = GONE(is_late) | (seen & TAKEN) :: else fi;
#else
    do
    :: d_step { touch_call(c); seen = word[c]; old = STATE(seen) }
        if
        :: old == DONE -> break
        :: else ->
            compare_exchange(word[c], seen, (GONE(is_late) | (seen & TAKEN)), old);
            if
            :: old == seen -> old = STATE(seen); break
            :: else
            fi
        fi
    od;
#endif
    if
    :: old == DONE || (seen & TAKEN) ->
#ifdef LEAVER_COUNTS_ALWAYS
        counted[c].as[REASON(is_late)]++;
#endif
        skip
    :: else ->
#ifdef LEAVER_DOES_NOT_LOOK
        skip
#else
        d_step {
            touch_channel();
            seen = queued[c];
#ifdef LATE_LEAVER_COUNTED_AS_LEFT
            counted[c].as[CANCELED]++;
#else
            counted[c].as[REASON(is_late)]++;
#endif
            if
            :: queued[c] ->
                queued[c] = false;
#ifndef REFERENCE_AFTER_THE_LOCK
                references++
#endif
            :: else
            fi
        }
#ifdef REFERENCE_AFTER_THE_LOCK
        if :: seen -> d_step { touch_channel(); references++ } :: else fi;
#endif
        drop_request(c);
        release_call(c);
        drop_reference()
#endif
    fi
}

proctype canceller(byte c) {
    byte old;
    byte seen;
    bool is_late;

    entered[c];
    d_step { old = stop[c]; stop[c] = old | STOPPED }
    if
    :: old == WAITING ->
        touch_wait(c);
        look_at_clock(c, is_late);
        leave(c, is_late, old, seen);
        exchange(stop[c], STOPPED, seen);
        if
#ifdef ALWAYS_TAKEN_BACK
        :: true -> schedule(c)
#else
        :: old == WAITER || (seen & HANDED_OVER) -> schedule(c)
        :: else
#endif
        fi
    :: else
    fi;
    cancellers_ended++
}

proctype caller(byte c) {
    byte old;
    byte seen;
    bool limited;
    bool is_late;

    look_at_clock(c, is_late);
    d_step {
        touch_channel();
        owners[c] = 2;
        request_there[c] = true;
        seen = (server_gone -> CLOSED : (is_late -> TIMED_OUT : NOTHING));
        if :: seen == NOTHING -> queued[c] = true :: else -> counted[c].as[seen]++ fi;
        entered[c] = true
    }
    if
    :: seen != NOTHING -> d_step { request_there[c] = false; freed[c] = true; outcome[c] = seen }; goto ended
    :: else
    fi;
    if
    :: goto waits_as_task
    :: goto waits_as_thread
    :: limited = true; goto waits_as_thread
    :: look_at_clock(c, is_late); leave(c, is_late, old, seen); goto over
    fi;

waits_as_task:
    if
    :: STATE(word[c]) == DONE -> goto over
    :: else
    fi;
    wait_open[c] = true;
#ifndef ENTERS_BEFORE_ARMING
    compare_exchange(stop[c], 0, WAITING, old);
    if
    :: old != 0 -> wait_open[c] = false; look_at_clock(c, is_late); leave(c, is_late, old, seen); goto over
    :: else
    fi;
#endif
    do
    :: seen = word[c];
        if
        :: STATE(seen) != IDLE ->
            compare_exchange(stop[c], WAITING, 0, old);
            if
            :: old == WAITING -> goto resumed
            :: else ->
                fetch_or(stop[c], HANDED_OVER, old);
                if
                :: (old & WAITING) -> goto suspended
                :: else -> stop[c] = STOPPED; goto resumed
                fi
            fi
        :: else ->
#ifdef ENTERS_AS_NOT_TAKEN
            compare_exchange(word[c], seen, WAITER, old);
#else
            compare_exchange(word[c], seen, (WAITER | (seen & TAKEN)), old);
#endif
            if
            :: old == seen -> break
            :: else
            fi
        fi
    od;
#ifdef ENTERS_BEFORE_ARMING
    compare_exchange(stop[c], 0, WAITING, old);
#endif
suspended:
    skip;
    d_step { resumes[c] > 0 -> resumes[c]-- };
resumed:
    skip;
    d_step {
        assert(resumes[c] == 0 && (stop[c] == 0 || stop[c] == STOPPED));
        assert(STATE(word[c]) == DONE || (IS_LEFT(STATE(word[c])) && stop[c] == STOPPED));
        wait_open[c] = false
    };
    goto over;

waits_as_thread:
    do
    :: seen = word[c];
        if
        :: STATE(seen) == DONE -> goto over
        :: else
        fi;
        if
        :: STATE(seen) == IDLE ->
            compare_exchange(word[c], seen, (SLEEPS | (seen & TAKEN)), old);
            if
            :: old != seen -> goto again
            :: else -> seen = SLEEPS | (seen & TAKEN)
            fi
        :: else
        fi;
        // The kernel compares and goes to sleep in one step.
        d_step { if :: word[c] == seen -> asleep[c] = true :: else fi };
        if
        :: !asleep[c]
        :: limited -> asleep[c] = false;
            // The time is up, by the thread's clock: the call's, or that of a wait for a call without a deadline.
            if :: is_late = true :: is_late = false fi;
            leave(c, is_late, old, seen);
            goto over
        fi;
again:
        skip
    od;

over:
    skip;
    d_step {
        touch_call(c);
        outcome[c] = (STATE(word[c]) == DONE -> end[c] : REASON(STATE(word[c]) == LATE));
        assert(STATE(word[c]) == DONE || IS_LEFT(STATE(word[c])));
        assert(outcome[c] != ANSWERED || reply_there[c])
    }
    release_call(c);
ended:
    callers_ended++
}

// Whoever has the Request.
proctype request(byte c) {
    byte old;
    byte seen;
    byte how;
    bool is_late;

    if
    :: look_at_clock(c, is_late);
        d_step { touch_call(c); reply_there[c] = !is_late; how = (is_late -> TIMED_OUT : ANSWERED) }
        finish(c, how, old, seen);
        d_step {
            touch_call(c);
            if
#ifndef A_LEFT_CALL_IS_ANSWERED
            :: old == LEFT ->
                reply_there[c] = false;
#ifdef LEFT_IS_TOLD_TIMED_OUT
                told[c] = REASON(is_late)
#else
                told[c] = CANCELED
#endif
            :: old == LATE ->
                reply_there[c] = false;
#ifdef LATE_IS_TOLD_CANCELED
                told[c] = CANCELED
#else
                told[c] = TIMED_OUT
#endif
#endif
            :: else -> told[c] = how
            fi
        }
        drop_request(c)
    :: drop_request(c);
#ifdef CHANNEL_BEFORE_END
        drop_reference();
#endif
        look_at_clock(c, is_late);
        how = REASON(is_late);
        finish(c, how, old, seen)
#ifdef CHANNEL_BEFORE_END
        ; references++
#endif
    fi;
    release_call(c);
    d_step { drop_reference(); requests_ended++ }
}

// The end of a call that was taken out of the queue without a Request, by a server that is there.
inline end_taken_out(c, how, old, seen) {
    drop_request(c);
    finish(c, how, old, seen);
    release_call(c)
}

#if CALLS == 1
#define SOMETHING_IS_QUEUED queued[0]
#else
#define SOMETHING_IS_QUEUED (queued[0] || queued[1])
#endif

proctype server() {
    byte old;
    byte seen;
    byte c;
    byte i;
    bool wanted;
    bool mine[CALLS];

    do
    :: SOMETHING_IS_QUEUED -> c = 0;
        do
        :: c < CALLS && !queued[c] -> c++
        :: else -> break
        od;
        if
        :: c == CALLS
        :: else ->
            d_step {
                wanted = false;
                i = queued[c];
                if
                :: i -> mark_taken(c, wanted)
                :: else
                fi
            }
            if
            :: wanted ->  // A Request. The clock was read before the lock: the deadline may have passed since.
                d_step { references++; requests++ }
                run request(c)
            :: wanted ->  // It has expired.
                passed[c] = true;
                end_taken_out(c, TIMED_OUT, old, seen)
#ifdef LEFT_CALL_IS_FREED
            :: i && !wanted -> drop_request(c); release_call(c)
#endif
            :: !wanted
            fi
        fi
    :: break
    od;
    skip;
    d_step {
        server_gone = true;
        c = 0;
        do
        :: c < CALLS ->
            if
            :: queued[c] -> mark_taken(c, wanted); mine[c] = wanted
            :: else
            fi;
            c++
        :: else -> break
        od;
        c = 0
    }
    do
    :: c < CALLS ->
        if
        :: mine[c] -> end_taken_out(c, CLOSED, old, seen)
        :: else
        fi;
        c++
    :: else -> break
    od;
    d_step { drop_reference(); server_ended = true }
}

// The last client may go as soon as the calls are entered: their callers do not need it.
proctype clients() {
    byte c;
    do
    :: c < CALLS -> entered[c]; c++
    :: else -> break
    od;
    d_step { drop_reference(); clients_ended = true }
}

#define ALL_ENDED \
    (callers_ended == CALLS && server_ended && clients_ended && requests_ended == requests && \
     cancellers_ended == CANCELLERS * CALLS)

init {
    byte i;
    atomic {
        i = 0;
        do
        :: i < CALLS ->
            run caller(i);
            if :: CANCELLERS > 0 -> run canceller(i) :: else fi;
            i++
        :: else -> break
        od;
        run server();
        run clients()
    }
    ALL_ENDED;
    skip;
    d_step {
        i = 0;
        do
        :: i < CALLS ->
            assert(freed[i] && !request_there[i] && !queued[i]);
            assert(resumes[i] == 0 && !wait_open[i]);
            assert(COUNTED_IF_ENDED_AS(i, ANSWERED) && COUNTED_IF_ENDED_AS(i, CLOSED));
            assert(COUNTED_IF_ENDED_AS(i, TIMED_OUT) && COUNTED_IF_ENDED_AS(i, CANCELED));
            assert(told[i] == outcome[i] || (told[i] == NOTHING && outcome[i] != ANSWERED));
            i++
        :: else -> break
        od;
        assert(channel_freed && references == 0)
    }
}

ltl everybody_ends { <> ALL_ENDED }
