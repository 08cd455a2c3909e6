// SPDX-License-Identifier: MIT
// Messages between shards: what a lane has accepted is delivered once and in order, though a sender rings at most once.
//
// Every shard is a source and a target. A pair of them has a lane of QUEUE places; a target has a dirty word with a bit
// per source, and its park word. A shard sends its messages in steps of any length, in turn to the others. Its sender may
// sleep once in between, and its receiver may come late. There is no timeout, and no shard ends: park.pml has the end. The
// README maps each step to the code.
//
//   default      two shards, two places
//   -DTHREE      three shards, one place
//   -DTICKET     two tasks wait until shard 1 has seen the first and the last message of shard 0
//   -DHOT        every other look may be at a lane that has something, whatever its bit says
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define RUNNING  0
#define PARKED   1
#define NOTIFIED 2

#ifdef THREE
#define SHARDS 3
#define QUEUE  1
#else
#define SHARDS 2
#define QUEUE  2
#endif
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef REPLIES
#define REPLIES 1
#endif

// Shard 0 sends MESSAGES, the others REPLIES each.
#define SENDS(me)       (me == 0 -> MESSAGES : REPLIES)
#define ALL             (MESSAGES + (SHARDS - 1) * REPLIES)
#define TARGET(me, nth) ((me + 1 + (nth) % (SHARDS - 1)) % SHARDS)
#define PAIR(to, from)  ((to) * SHARDS + (from))
#define PLACE(pair, nr) ((pair) * QUEUE + (nr) % QUEUE)
#define BIT(nr)         (1 << (nr))

#ifndef BELL_FAILURES
#define BELL_FAILURES 1
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifndef NAPS
#define NAPS 1
#endif

// A lane: `staged` and `cached` (the head as it was) belong to the source, `seen` to the target. A slot holds the number of
// its message; the first is 1.
byte head[SHARDS * SHARDS];
byte tail[SHARDS * SHARDS];
byte staged[SHARDS * SHARDS];
byte cached[SHARDS * SHARDS];
byte seen[SHARDS * SHARDS];
byte slot[SHARDS * SHARDS * QUEUE];

byte dirty[SHARDS];
byte word[SHARDS];

// What the kernel holds. A bell belongs to the shard that rang it until it has arrived or failed.
byte in_flight[SHARDS * SHARDS];
byte failed[SHARDS * SHARDS];
bool arrived[SHARDS];
byte failures;

// Bookkeeping for the properties. A message is settled when it is accepted or given up.
byte sent;
byte settled;
byte accepted;
byte refused;
byte taken;

#ifdef TICKET
#define WATCHED PAIR(1, 0)
bool locked;
byte waiting;
byte woken;
byte tickets_ended;
#define TICKETS_ENDED (tickets_ended == 2)
#else
#define TICKETS_ENDED true
#endif

// --- source ---

// One call of a task. A lane that looks full by the old head is looked at again; one that is full refuses.
inline send() {
    to = TARGET(me, tried);
    pair = PAIR(to, me);
    sent++;
    if
#ifndef OLD_HEAD_REFUSES
    :: staged[pair] - cached[pair] == QUEUE -> cached[pair] = head[pair]
#endif
    :: else
    fi;
    if
#ifdef FULL_IS_ONE_MORE
    :: staged[pair] - cached[pair] <= QUEUE ->
#else
    :: staged[pair] - cached[pair] < QUEUE ->
#endif
#ifndef TAIL_BEFORE_SLOT
        slot[PLACE(pair, staged[pair])] = staged[pair] + 1;
#endif
        staged[pair]++;
        accepted++;
        assert(staged[pair] - head[pair] <= QUEUE);
        unpublished = unpublished | BIT(to);
        settle()
    :: else ->
        assert(staged[pair] - head[pair] == QUEUE);
        refused++;
        // The task gives the message up, or tries again, in this step or in a later one.
        if
        :: settle()
#if RETRIES > 0
        :: retries < RETRIES -> retries++
#endif
        fi
    fi;
    forget_lane()
}

inline settle() { tried++; settled++ }
inline forget_lane() { to = 0; pair = 0 }

inline set_bit() {
    d_step {
#ifdef BIT_BELIEVED_SET
        dirty[to] = (bit_is_set -> dirty[to] : dirty[to] | BIT(me));
        owes_wake = (dirty[to] == BIT(me))
#else
        owes_wake = (dirty[to] == 0);
        dirty[to] = dirty[to] | BIT(me)
#endif
    }
}

inline look_at_word() { parked = (word[to] == PARKED) }

// One lane with something staged. If other bits are set already, whoever set the first of them owes the wake.
inline publish() {
    atomic {
        unpublished != 0 ->
        do
        :: (unpublished & BIT(to)) != 0 -> break
        :: else -> to++
        od;
        pair = PAIR(to, me);
#ifdef PUBLISHES_ONE_LANE
        unpublished = 0;
#endif
        unpublished = unpublished & ~BIT(to);
#ifdef WORD_BEFORE_DIRTY
        look_at_word()
    };
    atomic {
#endif
#ifdef RINGS_ONLY_IF_LANE_EMPTY
        lane_was_empty = (head[pair] == tail[pair])
    };
    atomic {
#endif
#ifdef BIT_BELIEVED_SET
        bit_is_set = ((dirty[to] & BIT(me)) != 0)
    };
    atomic {
#endif
#ifdef DIRTY_BEFORE_TAIL
        set_bit()
    };
    tail[pair] = staged[pair];
#else
        // L1
        tail[pair] = staged[pair]
    };
#ifdef TAIL_BEFORE_SLOT
    d_step {
        do
        :: filled < staged[pair] -> slot[PLACE(pair, filled)] = filled + 1; filled++
        :: else -> break
        od
    };
#endif
    // L2
    set_bit();
#endif
#ifdef RINGS_ONLY_IF_LANE_EMPTY
    owes_wake = lane_was_empty;
#endif
#ifdef PUBLISHER_SILENT
    owes_wake = false;
#endif
    // L3
    atomic {
        if
        :: owes_wake ->
            owes_wake = false;
#ifndef WORD_BEFORE_DIRTY
            look_at_word()
#endif
        :: else -> parked = false
        fi;
        if
        :: parked
        :: else -> forget_lane()
        fi
    };
    // Whoever takes the duty rings: L4.
    if
    :: parked ->
        d_step {
            if
            :: word[to] == PARKED -> word[to] = NOTIFIED; in_flight[PAIR(to, me)]++
            :: else
            fi;
            parked = false;
            forget_lane()
        }
    :: else
    fi
}

// --- kernel ---

// The way from one shard to another.
proctype kernel(byte to; byte from) {
end_no_bell_on_its_way:
    do
    :: atomic {
        in_flight[PAIR(to, from)] > 0 ->
        in_flight[PAIR(to, from)]--;
        if
#if BELL_FAILURES > 0
        :: failures < BELL_FAILURES -> failures++; failed[PAIR(to, from)]++
#endif
        :: true -> arrived[to] = true
        fi
    }
    od
}

#ifdef THREE
#define HAS_FAILED(me) (failed[PAIR(0, me)] + failed[PAIR(1, me)] + failed[PAIR(2, me)] > 0)
#else
#define HAS_FAILED(me) (failed[PAIR(0, me)] + failed[PAIR(1, me)] > 0)
#endif

// A bell that the kernel refused is rung again by the shard it belongs to.
inline ring_again(to) {
#ifndef FAILED_BELL_FORGOTTEN
    in_flight[PAIR(to, me)] = in_flight[PAIR(to, me)] + failed[PAIR(to, me)];
#endif
    failed[PAIR(to, me)] = 0
}

inline reap() {
    arrived[me] = false;
    ring_again(0);
    ring_again(1);
#ifdef THREE
    ring_again(2)
#endif
}

// --- target ---

// The look at a lane whose bit was set.
inline look_at_lane() {
    do
    :: (bits & BIT(from)) != 0 -> break
    :: else -> from++
    od;
    bits = bits & ~BIT(from);
    seen[PAIR(me, from)] = tail[PAIR(me, from)];
#ifdef TICKET
    new_to_see = (me == 1 && from == 0);
#endif
#ifdef LEFT_MESSAGES_FORGOTTEN
    news = true;
#endif
    from = 0
}

#ifdef TICKET
// The flag is looked at without the lock, the list with it. Both are `waiting`.
inline wake_ticket_holders() {
#ifndef WAITING_BEFORE_SEEN
    somebody_waits = (waiting != 0);
#endif
    if
    :: somebody_waits ->
        atomic { !locked -> locked = true };
        d_step {
            nr = 1;
            do
#ifdef WAKES_EVERYBODY
            :: nr <= MESSAGES ->
#else
            :: nr <= seen[WATCHED] ->
#endif
                if
                :: (waiting & BIT(nr)) != 0 -> waiting = waiting & ~BIT(nr); woken = woken | BIT(nr)
                :: else
                fi;
                nr++
            :: else -> break
            od;
            nr = 0;
            somebody_waits = false
        };
        locked = false
    :: else
    fi;
    new_to_see = false
}
#else
#define new_to_see false
#endif

#define IS_NEW_FROM(from)  (seen[PAIR(me, from)] < tail[PAIR(me, from)])
#define MESSAGE_FROM(from) (head[PAIR(me, from)] < seen[PAIR(me, from)])

// A task that waits takes the message of one lane.
inline look_for_message() {
    if
#ifdef LEFT_MESSAGES_FORGOTTEN
    :: !news
#endif
    :: receiver_waits && MESSAGE_FROM(0) -> found = true; from = 0
    :: receiver_waits && MESSAGE_FROM(1) -> found = true; from = 1
#ifdef THREE
    :: receiver_waits && MESSAGE_FROM(2) -> found = true; from = 2
#endif
    :: else
    fi
#ifdef LEFT_MESSAGES_FORGOTTEN
    ;
    news = false
#endif
}

#define SENDS_LEFT (!napping && tried < SENDS(me))

proctype shard(byte me) {
    byte to;
    byte from;
    byte pair;
    byte tried;
    byte retries;
    byte naps;
    byte unpublished;
    byte bits;
    bool called;
    bool owes_wake;
    bool parked;
    bool napping;
    bool receiver_waits;
    bool found;
#ifdef HOT
    bool hot_allowed;
#endif
#ifdef LEFT_MESSAGES_FORGOTTEN
    bool news;
#endif
#ifdef RECHECK_BEFORE_PARKED
    bool work;
#endif
#ifdef RINGS_ONLY_IF_LANE_EMPTY
    bool lane_was_empty;
#endif
#ifdef BIT_BELIEVED_SET
    bool bit_is_set;
#endif
#ifdef TAIL_BEFORE_SLOT
    byte filled;
#endif
#ifdef TICKET
    byte nr;
    bool new_to_see;
    bool somebody_waits;
#endif

#if NAPS > 0
    if
    :: receiver_waits = true
    :: true
    fi;
#else
    receiver_waits = true;
#endif
    do
    ::
        // A step of the sender: one call at least while it has any left, and flushes where it likes. Its end is a flush.
        do
        :: atomic { SENDS_LEFT -> send(); called = true }
#if NAPS > 0
        :: atomic { SENDS_LEFT && naps < NAPS -> naps++; napping = true }
#endif
        :: publish()
        :: atomic {
#ifndef STEP_END_FORGETS_TO_PUBLISH
            unpublished == 0 && (called || !SENDS_LEFT) ->
#endif
            called = false;
            // M1
#ifdef HOT
            if
            :: hot_allowed && IS_NEW_FROM(0) -> bits = BIT(0); hot_allowed = false
            :: hot_allowed && IS_NEW_FROM(1) -> bits = BIT(1); hot_allowed = false
            :: bits = dirty[me]; dirty[me] = 0; hot_allowed = true
            fi;
#ifdef HOT_CLEARS_WORD
            dirty[me] = 0;
#endif
            break
        }
        od;
#else
            bits = dirty[me];
#ifdef CLEAR_BY_STORE
            break
        }
        od;
        dirty[me] = 0;
#else
#ifndef CLEAR_AFTER_READ
            dirty[me] = 0;
#endif
            break
        }
        od;
#endif
#endif
        // M2
        do
#ifdef WAITING_BEFORE_SEEN
        :: bits != 0 && !new_to_see -> somebody_waits = (waiting != 0); atomic { look_at_lane() }
#else
        :: atomic { bits != 0 && !new_to_see -> look_at_lane() }
#endif
#ifdef TICKET
        :: new_to_see -> wake_ticket_holders()
#endif
        :: atomic { bits == 0 && !new_to_see -> reap(); look_for_message(); break }
        od;
#ifdef CLEAR_AFTER_READ
        dirty[me] = 0;
#endif
#ifdef HOT_CLEARS_ITS_BIT
        if
        :: !hot_allowed -> dirty[me] = dirty[me] & BIT(me)
        :: else
        fi;
#endif
        // M3. The place is free for the source as soon as the head says so.
        if
        :: atomic {
            found ->
#ifdef HEAD_BEFORE_READ
            head[PAIR(me, from)]++
        };
        atomic {
            assert(slot[PLACE(PAIR(me, from), head[PAIR(me, from)] - 1)] == head[PAIR(me, from)]);
#else
            assert(slot[PLACE(PAIR(me, from), head[PAIR(me, from)])] == head[PAIR(me, from)] + 1);
            head[PAIR(me, from)]++;
#endif
            taken++;
            found = false;
            from = 0
        }
        :: !found && SENDS_LEFT
        :: atomic {
            else ->
#ifdef RECHECK_BEFORE_PARKED
            work = (dirty[me] != 0)
        };
        atomic {
#endif
            // S1
            word[me] = PARKED
        };
            // S2
            if
#ifdef RECHECK_BEFORE_PARKED
            :: work -> work = false
#else
#ifndef NO_RECHECK_OF_DIRTY
            :: dirty[me] != 0
#endif
#endif
            :: else ->
                // S3: until a bell comes or one has to be rung again, or something comes that its own tasks wait for.
end_asleep:     atomic {
                    if
                    :: arrived[me]
                    :: HAS_FAILED(me)
#if NAPS > 0
                    :: napping -> napping = false
                    :: !receiver_waits -> receiver_waits = true
#endif
                    fi;
                    reap()
                }
            fi;
            // S4
            word[me] = RUNNING
        fi
    od
}

#ifdef TICKET
// --- a task that waits for a ticket ---

proctype ticket(byte nr) {
    bool over;

    // The message may be refused; then there is no ticket.
    (staged[WATCHED] >= nr || settled == ALL);
    if
    :: staged[WATCHED] < nr
    :: else ->
#ifdef TICKET_LOOKS_FIRST
        over = (seen[WATCHED] >= nr);
#endif
        atomic { !locked -> locked = true };
        // W1
        waiting = waiting | BIT(nr);
#ifdef UNLOCKS_BEFORE_LOOK
        locked = false;
#endif
        // W2
#ifndef TICKET_LOOKS_FIRST
        over = (seen[WATCHED] >= nr);
#endif
#ifdef UNLOCKS_BEFORE_LOOK
        atomic { !locked -> locked = true };
#endif
        if
        // It goes on by itself, so nobody may have taken it out of the list to wake it.
        :: over -> d_step { assert((waiting & BIT(nr)) != 0); waiting = waiting & ~BIT(nr); locked = false }
        :: else -> locked = false; ((woken & BIT(nr)) != 0)
        fi;
        assert(seen[WATCHED] >= nr)
    fi;
    tickets_ended++
}
#endif

init {
    byte i;
    atomic {
        do
        :: i < SHARDS ->
            run shard(i);
            run kernel((i + 1) % SHARDS, i);
#ifdef THREE
            run kernel((i + 2) % SHARDS, i);
#endif
            i++
        :: else -> break
        od;
#ifdef TICKET
        run ticket(1);
        run ticket(MESSAGES)
#endif
    }
    (settled == ALL && accepted == taken && TICKETS_ENDED);
    d_step {
        assert(sent == taken + refused);
        i = 0;
        do
        :: i < SHARDS * SHARDS -> assert(staged[i] == tail[i] && tail[i] == head[i]); i++
        :: else -> break
        od
    }
}

// Weak fairness. By symmetry the lane from shard 0 to shard 1 stands for all.
#define WAY(nr) ((staged[PAIR(1, 0)] >= nr) -> <> (head[PAIR(1, 0)] >= nr))
ltl delivered { [] (WAY(1) && WAY(2) && WAY(3)) }
#ifdef TICKET
#define WAIT(nr) (((waiting & BIT(nr)) != 0) -> <> ((waiting & BIT(nr)) == 0))
ltl woken_up { [] (WAIT(1) && WAIT(MESSAGES)) }
#endif
