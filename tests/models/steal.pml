// SPDX-License-Identifier: MIT
// The second handshake: no stealable item waits while a shard is idle, though a push wakes at most one shard.
//
// One shard is busy for ever and makes stealable items that it never runs itself. The others are thieves, and one of them
// also gets a pinned item from outside. One piece of work, a stealable item or the pinned one, is long: it ends only when
// every stealable item has been started, so one thief must be enough for the rest, and nobody may take the wake that was
// meant for an item along into work of its own. There is no timeout. The README maps each step to the code.
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define RUNNING  0
#define PARKED   1
#define NOTIFIED 2

#ifndef THIEVES
#define THIEVES 2
#endif
#ifndef ITEMS
#define ITEMS 2
#endif
#define BUSY_SHARD THIEVES
#define VICTIM(me, nth) (((me) + (nth)) % THIEVES)

byte queue;
byte searching;
byte parked;
byte word[THIEVES];
byte bells[THIEVES];
bool pinned;

// Bookkeeping for the properties.
byte started;
bool pinned_started;
bool long_one_chosen;

// W2 and W3. `rang` becomes true for the one waker that took the duty.
inline notify(target, seen, rang) {
    seen = word[target];
    if
    :: seen == PARKED ->
        d_step { seen = word[target]; if :: seen == PARKED -> word[target] = NOTIFIED :: else fi };
        if
        :: seen == PARKED -> bells[target]++; rang = true
        :: else
        fi
    :: else
    fi;
    seen = 0
}

// The caller's item is visible, or it has seen one.
inline wake_one_for_stealing(me, seen, rang, tried) {
    if
    :: parked == 0
    :: else ->
        if
        :: searching > 0
        :: else ->
            // All of them, from the next one on, until one has been woken.
            do
            :: tried < THIEVES && !rang ->
                tried++;
                if
                :: VICTIM(me, tried) != me -> notify(VICTIM(me, tried), seen, rang)
                :: else
                fi;
#ifdef ASKS_ONE_ONLY
                break
#endif
            :: else -> break
            od;
            atomic { tried = 0; rang = false }
        fi
    fi
}

inline run_one() {
    if
    :: true
    :: atomic { !long_one_chosen -> long_one_chosen = true }; (started == ITEMS)
    fi
}

proctype busy() {
    byte made;
    byte seen;
    byte tried;
    bool rang;

    do
    :: made < ITEMS ->
        made++;
#ifdef WAKE_BEFORE_PUSH
        wake_one_for_stealing(BUSY_SHARD, seen, rang, tried);
        queue++
#else
        queue++;
#ifndef PUSHER_SILENT
        wake_one_for_stealing(BUSY_SHARD, seen, rang, tried)
#endif
#endif
    :: else -> break
    od
}

proctype outside() {
    byte seen;
    bool rang;

    pinned = true;
    notify(0, seen, rang)
}

proctype thief(byte me) {
    byte seen;
    byte tried;
    byte searchers;
    bool rang;
    bool found;
    bool work;
    bool was_idle;

    do
    :: bells[me] = 0;
        if
        :: me == 0 && pinned ->
            // Its own work first. Whatever ended its idleness may have been meant for an item in somebody's queue: the
            // waker, who counted on this shard, has woken nobody else.
            d_step { pinned = false; pinned_started = true };
#ifndef OWN_WORK_KEEPS_THE_WAKE
            if
            :: was_idle && queue > 0 -> wake_one_for_stealing(me, seen, rang, tried)
            :: else
            fi;
#endif
            was_idle = false;
            run_one()
        :: else ->
            was_idle = true;
            searching++;
            d_step { found = (queue > 0); if :: found -> queue-- :: else fi };
            if
            :: found ->
                d_step { found = false; was_idle = false };
#ifdef FOUND_KEEPS_SEARCHING
                started++;
                run_one();
#endif
                d_step { searchers = searching; searching-- };
#ifndef LAST_SEARCHER_SILENT
                if
                :: searchers == 1 && queue > 0 -> wake_one_for_stealing(me, seen, rang, tried)
                :: else
                fi;
#endif
                searchers = 0;
#ifdef STOLEN_ITEM_WAITS
                if
                :: me == 0 && pinned -> d_step { pinned = false; pinned_started = true }; run_one()
                :: else
                fi;
#endif
#ifndef FOUND_KEEPS_SEARCHING
                // At once: nobody else can see it any more.
                started++;
                run_one()
#endif
            :: else ->
#ifndef LEAVES_SEARCH_LATE
                searching--;
#endif
                if
                :: me == 0 && pinned
                :: true ->
#ifndef COUNTED_AFTER_RECHECK
                    parked++;
#endif
                    word[me] = PARKED;
#ifndef NO_RECHECK_OF_QUEUES
                    work = (queue > 0);
#endif
                    work = (work || (me == 0 && pinned));
#ifdef LEAVES_SEARCH_LATE
                    searching--;
#endif
#ifdef COUNTED_AFTER_RECHECK
                    parked++;
#endif
                    if
                    :: work
                    :: else ->
end_asleep:             (bells[me] > 0)
                    fi;
                    work = false;
                    word[me] = RUNNING;
                    parked--
                fi
            fi
        fi
    od
}

init {
    byte i;
    atomic {
        run busy();
        run outside();
        do
        :: i < THIEVES -> run thief(i); i++
        :: else -> break
        od
    }
    (started == ITEMS && pinned_started)
}

ltl all_started { <> (started == ITEMS && pinned_started) }
