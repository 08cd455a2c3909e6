#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks the models with Spin: each correct one must hold, and each mutant, a model with one mistake in it, must be caught.
#
# usage: tests/models/check.sh [WORD]     only the runs whose line contains WORD
#
# Needs spin and a C compiler (CC, default cc). Works in a temporary folder; prints a line per run; fails when a correct
# model fails, is not searched to the end or has a statement that no run reaches, or when a mutant is not caught.
# shellcheck disable=SC2317  # What start() calls is called through "$@".
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
only="${1:-}"
compiler="${CC:-cc}"
for tool in spin "${compiler}"; do
    command -v "${tool}" >/dev/null || {
        printf 'error: %s not found; the models cannot be checked\n' "${tool}" >&2
        exit 2
    }
done

folder="$(mktemp -d)"
trap 'rm -rf "${folder}"' EXIT
runs=0
jobs="${SPARGIO_JOBS:-$(nproc 2>/dev/null || echo 1)}"

# start LINE COMMAND...: runs the command in the background, in a folder of its own, if its line is wanted.
start() {
    local line="$1"
    [[ "${line}" == *"${only}"* ]] || return 0
    runs=$((runs + 1))
    while (($(jobs -rp | wc -l) >= jobs)); do
        wait -n || true
    done
    mkdir "${folder}/${runs}"
    (cd "${folder}/${runs}" && "${@:2}" "${line}" && touch "${folder}/done.${runs}" && rm -rf "${folder:?}/${runs:?}") &
}

# report VERDICT LINE DETAIL: one line, in one write; what Spin said follows when the run went wrong.
report() {
    local text
    text="$(printf '%-7s %s%s' "$1" "$2" "${3:+: $3}")"
    if [[ "$1" == FAILED ]]; then
        touch "${folder}/failed.$(basename "${PWD}")"
        text+=$'\n'"$(sed 's/^/        /' output)"
    fi
    printf '%s\n' "${text}"
}

# search MODEL SPIN_FLAGS CC_FLAGS PAN_FLAGS: leaves what the verifier said in ./output.
search() {
    : >output
    # shellcheck disable=SC2086  # Flags are words.
    if spin $2 -a "${here}/$1.pml" >output 2>&1 && "${compiler}" -w $3 -o pan pan.c >>output 2>&1; then
        ./pan $4 >output 2>&1 || true
    fi
}

completed() { ! grep -Eq 'max search depth too small|out of memory|Search not completed' output; }
states() { sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p' output; }

# A statement that no run has reached makes the properties true of nothing. A process that never ends has one: its end.
unreached() { sed -n '/^unreached in proctype/,/^unreached in claim/p' output | grep 'state ' | grep -v '"-end-"' || true; }

check_holds() {
    local model="$1" flags="$2" property="$3" line="$4"
    if [[ -n "${property}" ]]; then
        search "${model}" "${flags}" "-O1 -DNFAIR=4" "-a -f -m1000000 -N ${property}"
    else
        search "${model}" "${flags}" "-O1 -DSAFETY -DNOCLAIM" "-m100000"
    fi
    if ! completed || ! grep -q 'errors: 0' output; then
        report FAILED "${line}" "a correct model does not hold"
    elif [[ -z "${property}" && -n "$(unreached)" ]]; then
        report FAILED "${line}" "statements that are never reached"
    else
        report holds "${line}" "$(states)"
    fi
}

check_caught() {
    local model="$1" flags="$2" mutant="$3" line="$4"
    # Not optimised: compiling takes longer than a search that ends at the first mistake.
    search "${model}" "${flags} -D${mutant}" "-O0 -DSAFETY -DNOCLAIM" "-m100000 -w18"
    if ! grep -Eq "def ${mutant}\$|defined\(${mutant}\)" "${here}/${model}.pml"; then
        report FAILED "${line}" "there is no such mutant"
    elif grep -q 'errors: 1' output; then
        report caught "${line}" "$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' output)"
    else
        report FAILED "${line}" "the mutant is not caught"
    fi
}

# holds MODEL FLAGS [PROPERTY]: no assertion fails and nobody waits for ever; or the LTL property, under weak fairness.
holds() { start "$1${2:+ $2}${3:+, ltl $3}" check_holds "$1" "$2" "${3:-}"; }
# caught MODEL FLAGS MUTANT: Spin finds a run that goes wrong.
caught() { start "$1${2:+ $2} $3" check_caught "$1" "$2" "$3"; }

holds park "-DOTHER_WAKES=0"
holds park "-DITEMS=1 -DBELL_FAILURES=2"
holds park "-DITEMS=1 -DOTHER_WAKES=0" delivered
holds park "-DITEMS=1 -DOTHER_WAKES=0" ended
holds park "-DFUTEX"
holds park "-DFUTEX -DITEMS=1" delivered
holds park "-DFUTEX -DITEMS=1" ended
holds steal ""
holds steal "-DMADE=3"
holds steal "-DRING=1"
holds steal "-DMADE=1 -DBROUGHT=1"
holds steal "-DMADE=1 -DBROUGHT=2 -DPINNED=0"
holds steal "-DMADE=2 -DRING=1 -DBROUGHT=1 -DPINNED=0"
holds steal "-DTHIEVES=3 -DPINNED=0 -DNO_MISSES"
holds steal "-DALONE -DRING=1"
holds steal "-DNO_MISSES" pushed_is_started
holds steal "-DNO_MISSES" all_started
holds steal "-DMADE=0 -DBROUGHT=1 -DNO_MISSES" all_started
holds steal "-DTHIEVES=3 -DMADE=1 -DPINNED=0 -DNO_MISSES" all_started
holds steal "-DALONE -DMADE=1 -DNO_MISSES" pushed_is_started
holds join ""
holds join "-DCANCELLERS=1" everybody_ends
holds join "-DSHUTDOWN -DCANCELLERS=1"
holds join "-DSHUTDOWN -DCANCELLERS=1" everybody_ends
holds lane ""
holds lane "-DREPLIES=3 -DNAPS=0 -DBELL_FAILURES=2"
holds lane "-DTHREE -DNAPS=0 -DRETRIES=0"
holds lane "-DTICKET -DNAPS=0 -DRETRIES=0 -DBELL_FAILURES=0"
holds lane "-DHOT"
holds lane "-DNAPS=0" delivered
holds lane "-DMESSAGES=2 -DRETRIES=0" delivered
holds lane "-DTHREE -DNAPS=0 -DRETRIES=0 -DBELL_FAILURES=0" delivered
holds lane "-DHOT -DMESSAGES=2 -DRETRIES=0" delivered
holds lane "-DTICKET -DNAPS=0 -DRETRIES=0 -DBELL_FAILURES=0" woken_up
holds boundary ""
holds boundary "" everybody_ends
holds mutex ""
holds mutex "-DNAPS=1"
holds mutex "" everybody_ends
holds room ""
holds room "-DSERVER_STAYS" everybody_ends
holds room "-DCLIENTS_STAY" everybody_ends

for driver in "" "-DFUTEX"; do
    for mutant in NO_RECHECK RECHECK_BEFORE_PREPARE NO_RECHECK_OF_STOP STOP_AFTER_DRAIN WORD_BEFORE_PUSH NOTIFY_BY_STORE \
        PUSHER_SILENT; do
        caught park "-DITEMS=1${driver:+ ${driver}}" "${mutant}"
    done
done
for mutant in FAILED_BELL_FORGOTTEN ENDS_WITH_BELL_IN_FLIGHT CLOSES_WITH_BELL_OWED RESUME_BY_STORE; do
    caught park "-DITEMS=1" "${mutant}"
done
caught park "-DITEMS=1 -DFUTEX" FUTEX_WITHOUT_COMPARE

for mutant in PUSHER_SILENT WAKE_BEFORE_PUSH ASKS_ONE_ONLY FOUND_KEEPS_THE_FLAG LOOKS_BEFORE_GIVING_UP \
    SEARCHER_LOOKS_NO_MORE SEARCHER_SKIPS_RECHECK GIVES_UP_AFTER_RECHECK NO_RECHECK_OF_QUEUES RECHECK_BEFORE_PARKED \
    FLAG_READ_BEFORE_PARKED COUNTED_AFTER_RECHECK WOKEN_LOOKS_NO_MORE OWN_WORK_KEEPS_THE_WAKE STOLEN_ITEM_WAITS \
    REST_OUT_OF_SIGHT REST_UNANNOUNCED FLAG_TESTED_THEN_SET; do
    caught steal "" "${mutant}"
done
caught steal "-DRING=1" OVERFLOW_NOT_LOOKED_AT
caught steal "-DMADE=1 -DBROUGHT=1" OUTSIDE_ASKS_ONE_ONLY
for mutant in LOOKING_READ_BEFORE_PUSH LOOKING_UNTIL_TOLD LOOKING_LEFT_ON GLANCE_TELLS_NOBODY; do
    caught steal "-DMADE=0 -DBROUGHT=2" "${mutant}"
done
caught steal "-DALONE -DMADE=1" ALONE_BEHIND_STOLEN
caught steal "-DALONE -DRING=1" DEQUES_LOOKED_AT_FIRST

for mutant in PUBLISH_BEFORE_ARM NO_STOP_MARK STOP_MARK_IS_FINAL RESTORE_BY_STORE CLAIM_BY_STORE HANDOVER_UNSEEN \
    HANDOVER_IGNORED COMPLETER_RESUMES_ALWAYS READS_WAIT_BEFORE_CLAIM NOTES_WHEN_HANDED_OVER NOTES_ALWAYS \
    REFUSED_UNNOTED; do
    caught join "" "${mutant}"
done
for mutant in WITHDRAWS_WITHOUT_HOLD WITHDRAWS_BY_STORE WITHDRAWAL_IGNORES_HANDOVER; do
    caught join "-DSHUTDOWN -DCANCELLERS=1" "${mutant}"
done

for mutant in FULL_IS_ONE_MORE OLD_HEAD_REFUSES TAIL_BEFORE_SLOT HEAD_BEFORE_READ STEP_END_FORGETS_TO_PUBLISH \
    DIRTY_BEFORE_TAIL BIT_BELIEVED_SET PUBLISHER_SILENT RINGS_ONLY_IF_LANE_EMPTY WORD_BEFORE_DIRTY FAILED_BELL_FORGOTTEN \
    CLEAR_AFTER_READ CLEAR_BY_STORE LEFT_MESSAGES_FORGOTTEN NO_RECHECK_OF_DIRTY RECHECK_BEFORE_PARKED; do
    caught lane "" "${mutant}"
done
caught lane "-DHOT" NO_RECHECK_OF_DIRTY
caught lane "-DHOT" HOT_CLEARS_ITS_BIT
caught lane "-DHOT -DTHREE -DNAPS=0 -DRETRIES=0" HOT_CLEARS_WORD
caught lane "-DTHREE" PUBLISHES_ONE_LANE
for mutant in TICKET_LOOKS_FIRST WAITING_BEFORE_SEEN UNLOCKS_BEFORE_LOOK WAKES_EVERYBODY; do
    caught lane "-DTICKET -DNAPS=0" "${mutant}"
done

for mutant in NO_REFERENCE_KEPT REFERENCE_AFTER_THE_LOCK LEAVER_DOES_NOT_LOOK LEFT_CALL_IS_FREED TAKEN_UNMARKED \
    ENTERS_AS_NOT_TAKEN DONE_BY_STORE LEFT_BY_STORE WHOLE_WORD_IS_THE_STATE ENTERS_BEFORE_ARMING RESUMES_WITHOUT_DISARM \
    ALWAYS_TAKEN_BACK A_LEFT_CALL_IS_ANSWERED LEAVER_COUNTS_ALWAYS CHANNEL_BEFORE_END LATE_COUNTED_AS_LEFT \
    LATE_LEAVER_COUNTED_AS_LEFT LATE_IS_TOLD_CANCELED LEFT_IS_TOLD_TIMED_OUT; do
    caught boundary "" "${mutant}"
done

for mutant in ROOM_NOT_HANDED_ON LEAVER_KEEPS_ITS_ROOM TAKEN_KEEPS_ITS_ROOM LEAVER_STAYS_QUEUED A_LEFT_CALL_IS_GIVEN \
    TAKES_THE_NEWEST REFUSES_TOO_LATE RECEIVER_NOT_WOKEN RECEIVER_STAYS_LISTED LEFT_RECEIVER_STAYS_LISTED \
    LEAVES_THOUGH_GIVEN ENTERS_AFTER_LOOKING QUEUES_AFTER_LOOKING LAST_CLIENT_TELLS_NOBODY; do
    caught room "-DSERVER_STAYS" "${mutant}"
done
caught room "-DCLIENTS_STAY" SERVER_TELLS_NO_RECEIVER

for mutant in SLEEPS_THOUGH_FREE WAITS_WITHOUT_COMPARING COMPARES_THE_LOCK_ONLY COMPARES_THE_SLEEPERS_ONLY \
    ENTERS_WITH_THE_MARK STAYS_IN_THE_WORD LEAVES_THE_MARK LOOKS_BEFORE_UNLOCKING WAKES_NOBODY; do
    caught mutex "" "${mutant}"
done

wait
if ((runs == 0)); then
    printf 'error: no run matches %s\n' "${only}" >&2
    exit 2
fi
count() { find "${folder}" -maxdepth 1 -name "$1" | wc -l; }
# A run that was itself killed has said nothing.
killed=$((runs - $(count 'done.*')))
((killed == 0)) || printf 'FAILED  %d runs did not come to a verdict\n' "${killed}"
failures=$(($(count 'failed.*') + killed))
printf '%d runs, %d failed\n' "${runs}" "${failures}"
exit $((failures > 0))
