// SPDX-License-Identifier: MIT
// The second handshake: no stealable item waits while a shard is idle, though at most one shard searches, and a push wakes
// at most one, and nobody while one searches.
//
// One shard, the maker, is busy for ever and makes stealable items. The others are thieves. A thread outside brings thief 0
// a pinned item, a stealable one, or both. One piece of work, a stealable item or the pinned one, is long: it ends only
// when every stealable item has been started, so one thief must be enough for the rest, and nobody may take the wake that
// was meant for an item along into work of its own. There is no timeout. The README maps each step to the code.
//
//   -DTHIEVES=n   2 or 3
//   -DMADE=n      items of the maker; all but -DRING=n go to the shared overflow queue while the first wait
//   -DPINNED=n    1: a pinned item
//   -DBROUGHT=n   1 or 2: stealable items from outside
//   -DALONE       what arrives at thief 0 is no pinned item: it ends the wait of a stealable task, see schedule_here()
//   -DNO_MISSES   for fairness: a thief does not miss what it could take
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define RUNNING  0
#define PARKED   1
#define NOTIFIED 2

#ifndef THIEVES
#define THIEVES 2
#endif
#ifndef MADE
#define MADE 2
#endif
#ifndef RING
#define RING MADE
#endif
#ifndef PINNED
#define PINNED 1
#endif
#ifndef BROUGHT
#define BROUGHT 0
#endif
#ifdef ALONE
#define ITEMS (MADE + BROUGHT + 1)
#define DUE   (MADE + BROUGHT + pinned_started)  // What has arrived at a shard that runs something cannot be stolen yet.
#else
#define ITEMS (MADE + BROUGHT)
#define DUE   ITEMS
#endif

// Where a stealable item may wait. The protocol sees only how many do. A deque for each thief, and
#define MAKERS THIEVES  // the maker's deque
#if RING < MADE
#define OVERFLOW (MAKERS + 1)  // the overflow queue
#define IN_OVERFLOW queue[OVERFLOW]
#else
#define OVERFLOW MAKERS
#define IN_OVERFLOW 0
#endif
#if BROUGHT
#define FIFO (OVERFLOW + 1)  // the FIFO queue of thief 0
#define IN_FIFO queue[FIFO]
#else
#define FIFO OVERFLOW
#define IN_FIFO 0
#endif
#define PLACES (FIFO + 1)
// Those that any shard takes from first of all before the deques: see ALONE.
#ifdef DEQUES_LOOKED_AT_FIRST
#define PLACE(nth) (nth)
#else
#define PLACE(nth) (PLACES - 1 - (nth))
#endif
#define THIEF(me, nth) (((me) + (nth)) % THIEVES)

#if THIEVES == 3
#define IN_THIRD_DEQUE queue[2]
#else
#define IN_THIRD_DEQUE 0
#endif
#define SOMETHING_TO_STEAL (queue[0] + queue[1] + IN_THIRD_DEQUE + queue[MAKERS] + IN_OVERFLOW + IN_FIFO > 0)

byte queue[PLACES];
byte searching;  // How many do: one at most.
bit looking;  // Thief 0 looks at its FIFO queue.
byte parked;
byte word[THIEVES];
bool arrived;  // The pinned item, in the inbox of thief 0 or a completion of its ring.
#define OWN_ARRIVALS(me) ((me) == 0 && arrived)

// Bookkeeping for the properties.
byte pushed;
byte started;
bool pinned_started;
bool long_one_chosen;

// --- whoever pushes ---

// `rang` becomes true for the one waker that took the duty. Its bell is certain to come (park.pml): the word stands for it.
inline notify(target) {
    rang = (word[target] == PARKED);
    word[target] = (rang -> NOTIFIED : word[target])
}

// The caller's item is visible, or it has seen one.
inline wake_one_for_stealing(me) {
    if
    :: parked == 0
    :: parked > 0 ->
        if
        :: searching
        :: !searching ->
            // All of them, from the next one on, until one has been woken. The caller's own word says Running, or it leaves itself out.
            do
            :: d_step { at < THIEVES && !rang -> at++; notify(THIEF(me, at)) }
#ifdef ASKS_ONE_ONLY
                break
#endif
            :: d_step { at == THIEVES || rang -> at = 0; rang = false }; break
            od
        fi
    fi
}

inline push(place) {
    d_step { queue[place]++; pushed++ }
}

proctype maker() {
    byte made;
    byte at;
    bool rang;

    do
    :: made < MADE ->
        made++;
#ifdef WAKE_BEFORE_PUSH
        wake_one_for_stealing(MAKERS);
#endif
        if
        :: queue[MAKERS] < RING -> push(MAKERS)
#if RING < MADE
        :: queue[MAKERS] == RING -> push(OVERFLOW)
#endif
        fi;
#if !defined(WAKE_BEFORE_PUSH) && !defined(PUSHER_SILENT)
        wake_one_for_stealing(MAKERS)
#endif
    :: made == MADE -> break
    od
}

inline bring_pinned() {
    arrived = true;
    d_step { notify(0); rang = false }
}

// wake_for_stealable()
inline bring_stealable() {
#ifdef LOOKING_READ_BEFORE_PUSH
    looks = looking;
    push(FIFO);
#else
    push(FIFO);
    looks = looking;
#endif
    if
    :: looks -> looks = false
    :: !looks ->
        d_step { notify(0) };
        if
        :: rang -> rang = false
        :: !rang ->
#ifndef OUTSIDE_ASKS_ONE_ONLY
            wake_one_for_stealing(MAKERS)
#endif
        fi
    fi
}

#if PINNED || BROUGHT
proctype outside() {
    byte at;
    bool rang;
    bool looks;

#if !BROUGHT
    bring_pinned()
#elif !PINNED
    bring_stealable()
#else
    if
    :: true -> bring_pinned(); bring_stealable()
    :: true -> bring_stealable(); bring_pinned()
    fi
#endif
#if BROUGHT == 2
    ;
    bring_stealable()
#endif
}
#endif

// --- thief ---

inline start() {
    assert(started < ITEMS);
    started++
}

#define TAKE(from) d_step { !stolen && queue[from] > 0 -> queue[from]--; stolen = true }
// Two: the rest goes where others may take it, except for the moment in which nobody sees it.
#define TAKE_TWO(from) d_step { !stolen && queue[from] > 1 -> queue[from] = queue[from] - 2; stolen = true; rest = true }
#ifdef REST_OUT_OF_SIGHT
#define PUT_REST(me)
#else
#define PUT_REST(me) d_step { queue[me]++; rest = false }
#endif

// Shard::steal(): one item to run next, and of the maker's deque perhaps a second one for the own deque. Which place is
// tried first does not matter. A round over them may miss what comes to one behind it.
inline steal(me) {
    if
    :: TAKE(me)
#if RING < MADE
    :: TAKE(OVERFLOW)
#endif
#if BROUGHT
    :: TAKE(FIFO)
#endif
    :: TAKE(MAKERS)
#if RING > 1
    :: TAKE_TWO(MAKERS); PUT_REST(me)
#endif
    :: TAKE(THIEF(me, 1))
#if THIEVES == 3
    :: TAKE(THIEF(me, 2))
#endif
#ifdef NO_MISSES
    :: stolen || OWN_ARRIVALS(me) || !SOMETHING_TO_STEAL
#else
    :: true
#endif
    fi
}

// Shard::something_to_steal(): one read a place, not one for all.
inline look() {
    do
    :: d_step {
            at < PLACES && !seen ->
            seen = (queue[PLACE(at)] > 0);
#ifdef OVERFLOW_NOT_LOOKED_AT
            seen = seen && PLACE(at) != OVERFLOW;
#endif
#ifdef REST_UNANNOUNCED
            seen = seen && PLACE(at) != me;
#endif
            at++
        }
    :: d_step { at == PLACES || seen -> at = 0 }; break
    od
}

proctype thief(byte me) {
    byte at;
    bool rang;
    bool seen;
    bool stolen;
    bool rest;
    bool flag;  // Of mutants only.

turn:
    // Shard::next_item(). A stolen item before anything else: nobody else can see it any more.
    if
#ifdef ALONE
    // schedule_here() wakes nobody for an item that is alone: this shard takes it next, whatever arrives meanwhile. (In the
    // model an item of the overflow or the FIFO queue may still come before it, which a shard that parks would find first.)
    :: d_step {
            OWN_ARRIVALS(me) ->
            arrived = false;
            pinned_started = true;
            queue[me]++;
            pushed++;
#ifdef ALONE_BEHIND_STOLEN
            seen = (queue[me] > 1)
#else
            seen = (queue[me] > 1 || stolen)
#endif
        };
        if
        :: seen || IN_FIFO > 0 -> seen = false; wake_one_for_stealing(me)
        :: !seen && IN_FIFO == 0
        fi;
        goto turn
#elif defined(STOLEN_ITEM_WAITS)
    :: d_step { OWN_ARRIVALS(me) -> arrived = false; pinned_started = true }
#else
    :: d_step { OWN_ARRIVALS(me) && !stolen -> arrived = false; pinned_started = true }
#endif
    :: d_step { stolen -> stolen = false; start() }
#ifdef REST_OUT_OF_SIGHT
    :: d_step { rest -> rest = false; start() }
#endif
    :: d_step { !stolen && queue[me] > 0 -> queue[me]--; start() }
#if BROUGHT
    :: d_step { !stolen && me == 0 && queue[FIFO] > 0 -> queue[FIFO]--; start() }
#endif
#if RING < MADE
    :: d_step { !stolen && queue[OVERFLOW] > 0 -> queue[OVERFLOW]--; start() }
#endif
    :: else -> goto idle
    fi;
#if BROUGHT
runs:
#endif
    if
    :: true
    :: d_step { !long_one_chosen -> long_one_chosen = true }; (started == DUE)
    fi;
#ifdef FOUND_KEEPS_THE_FLAG
    if
    :: flag -> d_step { flag = false; searching = 0 }
    :: !flag
    fi;
#endif
    goto turn;

    // Shard::idle()
idle:
#if BROUGHT
    // The glance before the flag. Who brings it a stealable item counts on this shard, and nobody else does.
    if
    :: me == 0 ->
        looking = 1;
        if
        :: OWN_ARRIVALS(me) || IN_FIFO > 0 ->
#ifndef LOOKING_UNTIL_TOLD
            looking = 0;
#endif
#ifndef GLANCE_TELLS_NOBODY
            if
            :: IN_FIFO > 1 || (IN_FIFO > 0 && (OWN_ARRIVALS(me) || queue[me] > 0 || IN_OVERFLOW > 0)) ->
                wake_one_for_stealing(me)
            :: else
            fi;
#endif
#ifdef LOOKING_UNTIL_TOLD
            looking = 0;
#endif
            // Shard::longest_waiting(): before what has arrived meanwhile, but for the overflow queue's.
            if
#if RING < MADE
            :: d_step { IN_OVERFLOW > 0 -> queue[OVERFLOW]--; start() }; goto runs
#endif
            :: d_step { IN_FIFO > 0 -> queue[FIFO]--; start() }; goto runs
            :: IN_FIFO == 0 -> goto turn
            fi
        :: true ->
#ifndef LOOKING_LEFT_ON
            looking = 0
#else
            skip
#endif
        fi
    :: else
    fi;
#endif
    if
#ifdef FLAG_TESTED_THEN_SET
    :: !searching -> searching++;
#else
    :: d_step { !searching -> searching++ };
#endif
        assert(searching == 1);
        steal(me);
        // The bounded spin: in vain, or it has seen something, which may be gone by the time this shard reaches for it.
        if
        :: stolen || SOMETHING_TO_STEAL || OWN_ARRIVALS(me) ->
#ifdef LOOKS_BEFORE_GIVING_UP
            look();
            searching = 0;
            goto pass_on
#elif defined(FOUND_KEEPS_THE_FLAG)
            d_step { flag = stolen; searching = stolen };
            goto last_look
#elif defined(SEARCHER_LOOKS_NO_MORE)
            searching = 0;
            goto turn
#else
            searching = 0;
            goto last_look
#endif
        :: !stolen ->
#ifdef GIVES_UP_AFTER_RECHECK
            flag = true
#elif defined(SEARCHER_SKIPS_RECHECK)
            d_step { searching = 0; flag = true }
#else
            searching = 0
#endif
        fi
    :: searching
    fi;

    // Shard::park(): S1 to S4, without what park.pml is about; an arrival of its own ends a sleep.
#ifdef RECHECK_BEFORE_PARKED
    if
    :: searching
    :: !searching -> look()
    fi;
#endif
#ifdef FLAG_READ_BEFORE_PARKED
    flag = searching;
#endif
#ifndef COUNTED_AFTER_RECHECK
    parked++;
#endif
    word[me] = PARKED;
#if !defined(RECHECK_BEFORE_PARKED) && !defined(NO_RECHECK_OF_QUEUES)
    // While another shard searches it is responsible: it looks once more when it has given the flag up.
    if
#ifdef FLAG_READ_BEFORE_PARKED
    :: d_step { flag -> flag = false }
    :: !flag -> look()
#elif defined(SEARCHER_SKIPS_RECHECK)
    :: d_step { flag -> flag = false }
    :: searching && !flag
    :: !searching && !flag -> look()
#elif defined(GIVES_UP_AFTER_RECHECK)
    :: searching && !flag
    :: flag -> look(); searching = 0; flag = false
    :: !searching -> look()
#else
    :: searching
    :: !searching -> look()
#endif
    fi;
#endif
#ifdef COUNTED_AFTER_RECHECK
    parked++;
#endif
end_asleep:
    // The word and the count in one step: who finds the shard counted and Running does what it does if nobody is counted.
    atomic { seen || word[me] == NOTIFIED || OWN_ARRIVALS(me) -> seen = false; word[me] = RUNNING; parked-- }
#ifdef WOKEN_LOOKS_NO_MORE
    goto turn;
#endif

    // A waker has counted on this shard, because it searched or was the one that was woken, and has woken nobody else. It
    // takes an item, unless its own arrivals have been queued already; others must get the rest.
last_look:
#ifdef OWN_WORK_KEEPS_THE_WAKE
    if
    :: OWN_ARRIVALS(me) -> goto turn
    :: else
    fi;
#endif
    steal(me);
    look();
pass_on:
    if
    :: atomic { seen -> seen = false }; wake_one_for_stealing(me)
    :: !seen
    fi;
    goto turn
}

init {
    byte i;
    atomic {
        run maker();
#if PINNED || BROUGHT
        run outside();
#endif
        pinned_started = !PINNED;
        do
        :: i < THIEVES -> run thief(i); i++
        :: i == THIEVES -> break
        od
    }
    (started == ITEMS && pinned_started)
}

// Weak fairness.
ltl pushed_is_started { [] ((pushed >= 1 -> <> (started >= 1)) && (pushed >= 2 -> <> (started >= 2))) }
ltl all_started { <> (started == ITEMS && pinned_started) }
