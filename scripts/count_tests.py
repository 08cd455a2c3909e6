#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up CTest's JUnit files: names what failed or was skipped, and ends with `N passed, N failed, N skipped`.

usage: count_tests.py [--forbid-skips REGEX] FILE...

A file that is missing or broken counts as one failure, so does a test that CTest could not start, and so does a skipped
test whose name matches REGEX.
"""
import argparse
import re
import sys
import xml.etree.ElementTree as ElementTree


def skip_reason(output):
    """GoogleTest writes `file:line: Skipped`, then the reason."""
    found = re.search(r"^.*: Skipped\n(.*)$", output, re.MULTILINE)
    return found.group(1).strip() if found and found.group(1).strip() else "no reason given"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--forbid-skips", metavar="REGEX")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()

    passed = failed = skipped = 0
    for file in arguments.files:
        try:
            cases = ElementTree.parse(file).getroot().findall("testcase")
        except (OSError, ElementTree.ParseError) as error:
            print(f"FAILED   {file}: {error}")
            failed += 1
            continue
        for case in cases:
            name = case.get("name")
            status = case.get("status")
            skip = case.find("skipped")
            is_skip = status == "disabled" or (skip is not None and skip.get("message", "").startswith("SKIP_"))
            if status == "run":
                passed += 1
            elif is_skip:
                reason = skip_reason(case.findtext("system-out", ""))
                if arguments.forbid_skips and re.search(arguments.forbid_skips, name):
                    print(f"FAILED   {name}: may not be skipped here ({reason})")
                    failed += 1
                else:
                    print(f"skipped  {name}: {reason}")
                    skipped += 1
            else:
                print(f"FAILED   {name}")
                failed += 1
    if passed + failed + skipped == 0:
        print("FAILED   no test was run")
        failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
