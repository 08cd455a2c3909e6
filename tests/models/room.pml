// SPDX-License-Identifier: MIT
// Who waits at a boundary channel: callers for room, in the order they came, and receivers for a request.
//
// One list of calls, whose first CAPACITY are queued, and whose others wait for room; receivers wait only while it is
// empty. What is done under the channel's lock is one step; what its lists owe somebody, a wake or an end, comes after
// it, in a step of its own. The word of a call is here what boundary.pml has shown of it: LIVE, then DONE by the
// server's side or LEFT by the caller, and taken[c] beside it.
//
// A caller waits for room, or is refused where there is none; then it waits for the end of its call, or leaves at any
// moment. A receiver takes calls and ends them until the channel is closed; a wait may be stopped, and it begins anew.
// The last client goes when all calls are made, the server at any moment; -DSERVER_STAYS, -DCLIENTS_STAY: not before
// the receivers have ended, since an end that is sure to come covers for a wake that was lost.
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#ifndef CALLS
#define CALLS 2
#endif
#define CAPACITY 1
#ifndef RECEIVERS
#define RECEIVERS 1
#endif
#ifndef STOPS
#define STOPS 1  // Of each receiver that waits.
#endif
#define NOBODY 255

#define LIVE 0
#define LEFT 1
#define DONE 2

#define AWAY    0
#define WAITING 1
#define GIVEN   2
#define CLOSED  3
#define STOPPED 4

hidden byte i;  // Of single steps.
byte word[CALLS];
bool taken[CALLS];
byte owners[CALLS];
byte place[CALLS];  // In the order in which they came, from 1.
byte calls_made;

byte queue[CALLS];
byte length;
byte size;  // What is compared with the capacity.

byte state[RECEIVERS];
byte call_of[RECEIVERS];
bool woken[RECEIVERS];
byte waiting[RECEIVERS];
byte waits;

bool server_gone;
bool clients_gone;
byte callers_ended;
byte receivers_ended;
byte ends_dropped;

inline touch(c) { assert(owners[c] > 0) }

// Whoever lets go last leaves nothing behind, for the sake of fewer states.
inline release(c) {
    touch(c);
    owners[c]--;
    if
    :: owners[c] == 0 -> word[c] = LIVE; taken[c] = false; place[c] = 0
    :: else
    fi
}

// All of the following under the lock.

inline take_out(c) {
    touch(c);
    i = 0;
    do
    :: queue[i] != c -> i++
    :: else -> break
    od;
    do
    :: i + 1 < length -> queue[i] = queue[i + 1]; i++
    :: else -> break
    od;
    length--;
    queue[length] = 0
}

inline remove_receiver(r) {
    i = 0;
    do
    :: i < waits && waiting[i] != r -> i++
    :: else -> break
    od;
    assert(i < waits);
    do
    :: i + 1 < waits -> waiting[i] = waiting[i + 1]; i++
    :: else -> break
    od;
    waits--;
    waiting[waits] = 0
}

// Out of the list, for the server's side; it belongs to its caller alone if that has left.
inline mark_taken(c) {
    take_out(c);
#ifndef TAKEN_KEEPS_ITS_ROOM
    size--;
#endif
    taken[c] = true
}

// The receiver gets it: once, in order, and never when its caller had left before.
inline give(c) {
    assert(taken[c] && word[c] != LEFT);
    i = 0;
    do
    :: i < length -> assert(place[queue[i]] > place[c]); i++
    :: else -> break
    od
}

inline close_receivers(told) {
    i = 0;
    do
    :: i < waits -> state[waiting[i]] = CLOSED; told = told | (1 << waiting[i]); i++
    :: else -> break
    od;
    do
    :: waits > 0 -> waits--; waiting[waits] = 0
    :: else -> break
    od
}

#ifdef TAKES_THE_NEWEST
#define NEXT queue[length - 1]
#else
#define NEXT queue[0]
#endif
#ifdef ROOM_NOT_HANDED_ON
#define MAY_BE_TAKEN (length > 0 && had_room[queue[0]])
bool had_room[CALLS];
#else
#define MAY_BE_TAKEN (length > 0)
#endif
#ifdef A_LEFT_CALL_IS_GIVEN
#define IS_WANTED(c) true
#else
#define IS_WANTED(c) (word[c] != LEFT)
#endif
#ifdef REFUSES_TOO_LATE
#define IS_FULL (size > CAPACITY)
#else
#define IS_FULL (size >= CAPACITY)
#endif

proctype caller(byte c) {
    byte receiver = NOBODY;
    bool may_wait_for_room;
    bool refused;
    bool nobody_waits;
    bool was_taken;

    if :: may_wait_for_room = true :: may_wait_for_room = false fi;
#ifdef QUEUES_AFTER_LOOKING
    nobody_waits = (waits == 0);
#endif
    d_step {
#ifndef QUEUES_AFTER_LOOKING
        nobody_waits = (waits == 0);
#endif
        calls_made++;
        place[c] = calls_made;
        owners[c] = 2;
        if
        :: server_gone -> refused = true
        :: !server_gone && !nobody_waits && waits > 0 ->
            receiver = waiting[0];
#ifndef RECEIVER_STAYS_LISTED
            remove_receiver(receiver);
#endif
            taken[c] = true;
            give(c);
            call_of[receiver] = c;
            state[receiver] = GIVEN
        :: !server_gone && (nobody_waits || waits == 0) && !may_wait_for_room && IS_FULL ->
            assert(length >= CAPACITY);
            refused = true
        :: !server_gone && (nobody_waits || waits == 0) && (may_wait_for_room || !IS_FULL) ->
#ifdef ROOM_NOT_HANDED_ON
            had_room[c] = (length < CAPACITY);
#endif
            queue[length] = c;
            length++;
            size++;
            assert(may_wait_for_room || length <= CAPACITY)
        fi;
        if
        :: refused -> owners[c] = 0; place[c] = 0
        :: else
        fi;
        may_wait_for_room = false;
        nobody_waits = false
    }
    if
    :: refused -> refused = false; goto ended
    :: else
    fi;
#ifndef RECEIVER_NOT_WOKEN
    if :: d_step { receiver != NOBODY -> woken[receiver] = true; receiver = NOBODY } :: else fi;
#endif

    if
    :: word[c] == DONE
    :: d_step { touch(c); was_taken = taken[c]; if :: word[c] == LIVE -> word[c] = LEFT :: else fi }
        if
        :: word[c] == LEFT && !was_taken ->
            d_step {
                touch(c);
                // Unless it was taken out meanwhile.
                if
                :: !taken[c] ->
#ifndef LEAVER_STAYS_QUEUED
                    take_out(c);
#endif
#ifndef LEAVER_KEEPS_ITS_ROOM
                    size--
#endif
                :: else
                fi
            }
            d_step { release(c) }  // What was the queue's.
        :: else
        fi
    fi;
    d_step { release(c) };
ended:
    callers_ended++
}

inline finish_now(c) {
    touch(c);
    if
    :: word[c] == LIVE -> word[c] = DONE
    :: else
    fi;
    release(c)
}

proctype receiver(byte r) {
    byte c;
    byte stops;
    bool has_to_wait;

receives:
    skip;
    d_step {
        state[r] = AWAY;
        do
        :: MAY_BE_TAKEN && state[r] == AWAY ->
            c = NEXT;
            mark_taken(c);
            if
            :: IS_WANTED(c) -> give(c); call_of[r] = c; state[r] = GIVEN
            :: else  // Its caller will come to look.
            fi
        :: else -> break
        od
#ifdef ENTERS_AFTER_LOOKING
    };
    d_step {
#else
        ;
#endif
        assert(state[r] != AWAY || length == 0);
        if
        :: state[r] == AWAY && (server_gone || clients_gone) -> state[r] = CLOSED
        :: state[r] == AWAY && !server_gone && !clients_gone ->
            state[r] = WAITING;
            waiting[waits] = r;
            waits++
        :: else
        fi;
        has_to_wait = (state[r] == WAITING);
        c = 0
    }
    if
    :: !has_to_wait
    :: has_to_wait && woken[r] -> woken[r] = false
    :: has_to_wait && stops < STOPS -> stops++;
        d_step {
            if
            :: state[r] == WAITING ->
#ifndef LEFT_RECEIVER_STAYS_LISTED
                remove_receiver(r);
#endif
                state[r] = STOPPED
#ifdef LEAVES_THOUGH_GIVEN
            :: state[r] == GIVEN -> state[r] = STOPPED
#endif
            :: else
            fi
        }
        if
        :: state[r] == STOPPED -> goto receives
        :: else -> woken[r]; woken[r] = false  // Somebody has reached for it.
        fi
    fi;
    if
    :: state[r] == CLOSED -> goto ended
    :: else -> assert(state[r] == GIVEN)
    fi;
    // The request is the receiver's, and ends when it likes.
    d_step { c = call_of[r]; call_of[r] = 0; finish_now(c); c = 0 }
    goto receives;
ended:
    receivers_ended++
}

// What the closing of a channel owes, after the lock.
inline wake_all(told, r) {
    r = 0;
    do
    :: r < RECEIVERS ->
        if
        :: d_step { told & (1 << r) -> woken[r] = true }
        :: else
        fi;
        r++
    :: else -> r = 0; told = 0; break
    od
}

proctype server() {
    byte c;
    byte told;
    bool mine[CALLS];

#ifdef SERVER_STAYS
    receivers_ended == RECEIVERS;
#endif
    d_step {
        server_gone = true;
        do
        :: length > 0 -> c = queue[0]; mark_taken(c); mine[c] = (word[c] != LEFT)
        :: else -> break
        od;
#ifndef SERVER_TELLS_NO_RECEIVER
        close_receivers(told);
#endif
        c = 0
    }
    do
    :: c < CALLS ->
        if
        :: d_step { mine[c] -> finish_now(c); mine[c] = false }
        :: else
        fi;
        c++
    :: else -> break
    od;
    wake_all(told, c);
    ends_dropped++
}

// The last client may go as soon as the calls are made.
proctype clients() {
    byte c;
    byte told;

    calls_made == CALLS;
#ifdef CLIENTS_STAY
    receivers_ended == RECEIVERS;
#endif
    d_step {
        clients_gone = true;
#ifndef LAST_CLIENT_TELLS_NOBODY
        close_receivers(told);
#endif
        c = 0
    }
    wake_all(told, c);
    ends_dropped++
}

#define ALL_ENDED (callers_ended == CALLS && receivers_ended == RECEIVERS && ends_dropped == 2)

init {
    atomic {
        i = 0;
        do
        :: i < CALLS -> run caller(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < RECEIVERS -> run receiver(i); i++
        :: else -> break
        od;
        run server();
        run clients()
    }
    ALL_ENDED;
    d_step {
        assert(length == 0 && size == 0 && waits == 0);
        i = 0;
        do
        :: i < CALLS -> assert(owners[i] == 0); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < RECEIVERS -> assert(!woken[i]); i++
        :: else -> break
        od
    }
}

ltl everybody_ends { <> ALL_ENDED }
