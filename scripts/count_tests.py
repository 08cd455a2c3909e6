#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up CTest's JUnit files: names what failed and what it printed last, and what was skipped and why, and ends with
`N passed, N failed, N skipped`.

usage: count_tests.py [--forbid-skips REGEX] FILE...

A file that is missing or broken counts as one failure, so does a test that CTest could not start, and so does a skipped
test whose name matches REGEX. A test whose name has `.group_` in it stands for those in the file that GoogleTest wrote:
NAME.xml in the folder that is called like the JUnit file without its `.xml`. Where that file is missing, or tells of no
failure although the process failed, the group is a failure itself.
"""
import argparse
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def skip_reason(output):
    """GoogleTest writes `file:line: Skipped`, then the reason."""
    found = re.search(r"^.*: Skipped\n(.*)$", output, re.MULTILINE)
    return found.group(1).strip() if found and found.group(1).strip() else "no reason given"


def last_lines(output):
    """What is shown of the output of a failure, which may be long."""
    return "\n".join(line[:300] for line in output.strip().splitlines()[-15:])


def outcome_of(case):
    """Of one of CTest's test cases: passed, failed or skipped, and why it failed or was skipped."""
    output = case.findtext("system-out", "")
    skip = case.find("skipped")
    if case.get("status") == "run":
        return "passed", ""
    if case.get("status") == "disabled" or (skip is not None and skip.get("message", "").startswith("SKIP_")):
        return "skipped", skip_reason(output)
    return "failed", last_lines(output)


def parsed(file):
    # What a test prints need not be text.
    return ElementTree.fromstring(Path(file).read_text(encoding="utf-8", errors="replace"))


def members_of(group, passed, output, file):
    """(name, outcome, reason) of each test in GoogleTest's file of a group, and of the group where that is not all."""
    members = []
    try:
        for case in parsed(file).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            failures = [failure.get("message", "") for failure in case.findall("failure")]
            if failures:
                members.append((name, "failed", last_lines("\n".join(failures))))
            elif case.get("result") == "completed":
                members.append((name, "passed", ""))
            else:  # After the line with the place comes the reason.
                skip = case.find("skipped")
                reason = skip.get("message", "").partition("\n")[2].strip() if skip is not None else "disabled"
                members.append((name, "skipped", reason or "no reason given"))
    except (OSError, ElementTree.ParseError) as error:
        begun = re.findall(r"^\[ RUN      \] (.*)$", output, re.MULTILINE)
        print(f"         {group}: {error}")
        return [(f"{group}: it ended in {begun[-1]}" if begun else group, "failed", last_lines(output))]
    if not passed and all(outcome != "failed" for _, outcome, _ in members):
        members.append((group, "failed", last_lines(output)))
    return members


def tests_of(file):
    """(name, outcome, reason) of each test that CTest's file tells of."""
    for case in parsed(file).findall("testcase"):
        name = case.get("name")
        outcome, reason = outcome_of(case)
        if ".group_" in name:
            output = case.findtext("system-out", "")
            yield from members_of(name, outcome == "passed", output, Path(file).with_suffix("") / f"{name}.xml")
        else:
            yield name, outcome, reason


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--forbid-skips", metavar="REGEX")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()

    count = {"passed": 0, "failed": 0, "skipped": 0}
    for file in arguments.files:
        try:
            tests = list(tests_of(file))
        except (OSError, ElementTree.ParseError) as error:
            tests = [(f"{file}: {error}", "failed", "")]
        for name, outcome, reason in tests:
            if outcome == "skipped" and arguments.forbid_skips and re.search(arguments.forbid_skips, name):
                outcome = "failed"
                name, reason = f"{name}: may not be skipped here ({reason})", ""
            if outcome == "failed":
                print(f"FAILED   {Path(file).stem}: {name}")
                for line in reason.splitlines():
                    print(f"         | {line}")
            elif outcome == "skipped":
                print(f"skipped  {name}: {reason}")
            count[outcome] += 1
    if sum(count.values()) == 0:
        print("FAILED   no test was run")
        count["failed"] += 1
    print(", ".join(f"{count[outcome]} {outcome}" for outcome in count))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
