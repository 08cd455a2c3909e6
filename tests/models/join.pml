// SPDX-License-Identifier: MIT
// How a join, the end of the joined task and a stop request meet: every joiner is resumed exactly once.
//
// Three parties, each on a thread of its own, two words:
//   join[c]  of the child c:   Running -> Done, in between the joiner's pointer or StopMark
//   stop     of the joiner J:  0, or Stopped, or W (J waits and may be cancelled), or W|Stopped (a canceller is at work),
//                              plus HandedOver (the wait is over, whoever holds W resumes J)
//                              Stopped|HandedOver without W is Missed: the stop has cancelled nothing, and J has been refused nothing
// Whoever finds `stop` without the right to end the wait leaves HandedOver and goes; whoever turned W into W|Stopped never
// lets go of it but by one exchange, and then does what was handed over. The README maps each step to the code.
//
// J joins two children in turn from the same place in memory, so that a canceller that is late for one wait meets the next.
// When a join is cancelled another task, K, joins the same child without being cancelled: it finds the word as if J had
// never been there.
//
// -DSHUTDOWN adds the end of J's runtime, on J's own thread, while the children live on in another one: it takes the
// suspended J back from its child and destroys it, or finds that somebody has reached for J and waits for that wake.
// (Destroying J is modelled as one more way to resume it, canceled: what counts is who does it, and once.)
//
// Mutants, each of which has to be caught (-D...): see check.sh.

#define RUNNING    0
#define DONE       1
#define STOP_MARK  2
#define JOINER     3
#define OTHER      4

#define STOPPED     1
#define WAITING     2
#define HANDED_OVER 4
#define MISSED      5

#ifndef CHILDREN
#define CHILDREN 2
#endif
#ifndef CANCELLERS
#define CANCELLERS 2
#endif

byte join[CHILDREN];
byte stop;

// What lies in J's frame: valid only while `wait_open`, and then only for the wait number `wait_number`.
bool wait_open;
byte wait_number;
byte wait_child;
bool wait_canceled;

byte resumes_of_joiner;
byte resumes_of_other;
bool stop_requested;
bool passed[CHILDREN];
bool joiner_ended;
byte children_ended;
byte cancellers_ended;

// J's thread runs J or the shutdown, never both.
bool at_rest;
bool withdrawing;
bool shutdown_ended = true;

// One read-modify-write each; `old` is what it found.
inline compare_exchange(word, from, to, old) { d_step { old = word; if :: old == from -> word = to :: else fi } }
inline exchange(word, to, old)               { d_step { old = word; word = to } }
inline fetch_or(word, bits, old)             { d_step { old = word; word = word | bits } }

// A touch of J's wait by somebody else: J must still be in the wait the toucher came for.
inline touch_wait(number) { assert(wait_open && wait_number == number) }

// By whoever is about to schedule J, whose wait has ended with the child's result.
inline note_value() {
    if
    :: (stop & STOPPED) -> stop = MISSED
    :: else
    fi
}

inline schedule_joiner(number) {
    d_step { touch_wait(number); assert(resumes_of_joiner == 0); resumes_of_joiner++ }
}

// Ends the wait for somebody who has no more business with J. `resume` tells whether the caller is to resume J.
inline disarm(old, resume) {
    compare_exchange(stop, WAITING, 0, old);
    if
    :: old == WAITING -> resume = true
    :: else ->
#ifdef COMPLETER_RESUMES_ALWAYS
        resume = true
#else
        fetch_or(stop, HANDED_OVER, old);
        if
#ifdef HANDOVER_UNSEEN
        :: true -> resume = false
#else
        :: (old & WAITING) -> resume = false
        :: else -> assert(old == STOPPED); stop = STOPPED; resume = true
#endif
        fi
#endif
    fi
}

proctype completer(byte child) {
    byte old;
    byte number;
    bool resume;

    // A child ends when it likes, or not before J has left it: then only a stop request can get J out of its wait.
    if
    :: true
    :: true -> passed[child]
    fi;
    d_step { old = join[child]; join[child] = DONE; number = wait_number }
    if
    :: old == JOINER ->
        touch_wait(number);
        disarm(old, resume);
        if
        :: resume -> note_value(); schedule_joiner(number)
        :: else
#ifdef NOTES_WHEN_HANDED_OVER
            note_value()
#endif
        fi
    :: old == OTHER -> resumes_of_other++
    :: else -> assert(old == RUNNING || old == STOP_MARK)
    fi;
    children_ended++
}

proctype canceller() {
    byte old;
    byte number;
    byte child;
    bool claimed;

    stop_requested = true;
    do
    :: old = stop;
#ifdef READS_WAIT_BEFORE_CLAIM
        child = wait_child;
#endif
        if
        :: (old & STOPPED) -> goto ended
        :: old == 0 ->
            compare_exchange(stop, 0, MISSED, old);
            if
            :: old == 0 -> goto ended
            :: else
            fi
        :: else ->
            d_step { compare_exchange(stop, WAITING, (WAITING | STOPPED), old); number = wait_number }
            if
            :: old == WAITING -> break
            :: else
            fi
        fi
    od;

    // From here to the exchange below J cannot leave its wait.
    touch_wait(number);
#ifndef READS_WAIT_BEFORE_CLAIM
    child = wait_child;
#endif
    do
    :: touch_wait(number);
        old = join[child];
        if
        :: old == JOINER ->
#ifdef CLAIM_BY_STORE
            join[child] = RUNNING;
#else
            compare_exchange(join[child], JOINER, RUNNING, old);
#endif
            if
            :: old == JOINER -> touch_wait(number); wait_canceled = true; claimed = true; break
            :: else
            fi
        :: old == RUNNING ->
#ifdef NO_STOP_MARK
            break
#else
            compare_exchange(join[child], RUNNING, STOP_MARK, old);
            if
            :: old == RUNNING ->
#ifdef STOP_MARK_IS_FINAL
                goto ended
#else
                break
#endif
            :: else
            fi
#endif
        :: else -> assert(old == DONE); break
        fi
    od;

    touch_wait(number);
    exchange(stop, STOPPED, old);
    if
#ifdef HANDOVER_IGNORED
    :: claimed -> schedule_joiner(number)
#else
    :: claimed || (old & HANDED_OVER) ->
        if
#ifdef NOTES_ALWAYS
        :: (old & HANDED_OVER) -> note_value()
#else
        :: (old & HANDED_OVER) && !wait_canceled -> note_value()
#endif
        :: else
        fi;
        schedule_joiner(number)
#endif
    :: else
    fi;
ended:
    cancellers_ended++
}

#ifdef SHUTDOWN
proctype shutdown() {
    byte old;
    byte number;
    byte child;
    bool taken_back;

    // At any moment at which J is suspended, or never.
    if
    :: d_step { at_rest && !joiner_ended -> withdrawing = true }
    :: joiner_ended -> goto ended
    fi;
    if
    :: stop != WAITING -> skip  // Somebody has reached for J: its wake comes.
    :: else ->
#ifndef WITHDRAWS_WITHOUT_HOLD
        d_step { compare_exchange(stop, WAITING, (WAITING | STOPPED), old); number = wait_number; child = wait_child };
#else
        d_step { old = WAITING; number = wait_number; child = wait_child };
#endif
        if
        :: old != WAITING -> skip
        :: else ->
            stop_requested = true;
            touch_wait(number);
#ifdef WITHDRAWS_BY_STORE
            taken_back = true; join[child] = RUNNING;
#else
            compare_exchange(join[child], JOINER, RUNNING, old);
            taken_back = (old == JOINER);
#endif
            exchange(stop, STOPPED, old);
            if
#ifdef WITHDRAWAL_IGNORES_HANDOVER
            :: taken_back ->
#else
            :: taken_back || (old & HANDED_OVER) ->
#endif
                wait_canceled = taken_back;
                schedule_joiner(number)
            :: else  // The completer has J, and finds that the canceller has finished: its wake comes.
            fi
        fi
    fi;
    withdrawing = false;
ended:
    shutdown_ended = true
}
#endif

inline arm() {
    compare_exchange(stop, 0, WAITING, old)
}

proctype joiner() {
    byte old;
    byte child;
    bool resume;
    bool canceled;

    do
    :: child < CHILDREN ->
        d_step { wait_open = true; wait_number++; wait_child = child; wait_canceled = false };
#ifdef PUBLISH_BEFORE_ARM
        compare_exchange(join[child], RUNNING, JOINER, old);
        if
        :: old == RUNNING -> arm(); goto suspended
        :: else -> goto leave
        fi;
#else
        arm();
        if
        :: old != 0 ->
            assert(old == STOPPED || old == MISSED);
#ifndef REFUSED_UNNOTED
            stop = STOPPED;
#endif
            wait_canceled = true;
            goto resumed
        :: else
        fi;
        compare_exchange(join[child], RUNNING, JOINER, old);
        if
        :: old == RUNNING -> goto suspended
        :: old == DONE -> goto leave
        :: else ->
            assert(old == STOP_MARK);
#ifdef RESTORE_BY_STORE
            join[child] = RUNNING; wait_canceled = true;
#else
            // The child may have ended on the mark: then its result is there, and it wins.
            compare_exchange(join[child], STOP_MARK, RUNNING, old);
            if
            :: old == STOP_MARK -> wait_canceled = true
            :: else -> assert(old == DONE)
            fi;
#endif
#ifdef STOP_MARK_IS_FINAL
            stop = STOPPED;
            goto resumed
#endif
        fi;
#endif
leave:
        disarm(old, resume);
        if
        :: resume -> goto resumed
        :: else
        fi;
suspended:
        at_rest = true;
        d_step { (resumes_of_joiner > 0 && !withdrawing) -> resumes_of_joiner--; at_rest = false };
resumed:
        skip;
        d_step {
            assert(resumes_of_joiner == 0);
            assert(stop == 0 || stop == STOPPED || stop == MISSED);
            assert(wait_canceled || join[child] == DONE);
            assert(!wait_canceled || (stop_requested && stop == STOPPED));
            canceled = wait_canceled;
            wait_open = false;
            passed[child] = true;
        }
        if
        :: canceled ->
            // K takes the handle over. Its wait cannot be cancelled, so its end of the protocol has no stop word.
            compare_exchange(join[child], RUNNING, OTHER, old);
            if
            :: old == RUNNING -> (resumes_of_other > 0) -> resumes_of_other--
            :: else -> assert(old == DONE)
            fi;
            assert(join[child] == DONE && resumes_of_other == 0)
        :: else
        fi;
        child++
    :: else -> break
    od;
    joiner_ended = true
}

init {
    byte i;
    atomic {
        run joiner();
#ifdef SHUTDOWN
        shutdown_ended = false;
        run shutdown();
#endif
        i = 0;
        do
        :: i < CHILDREN -> run completer(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CANCELLERS -> run canceller(); i++
        :: else -> break
        od
    }
    (joiner_ended && shutdown_ended && children_ended == CHILDREN && cancellers_ended == CANCELLERS);
    assert(resumes_of_joiner == 0 && resumes_of_other == 0)
}

ltl everybody_ends { <> (joiner_ended && shutdown_ended && children_ended == CHILDREN && cancellers_ended == CANCELLERS) }
