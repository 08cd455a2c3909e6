#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when an operation of NativeLane has no row in the table of tests/runtime/native_lane_errors_test.cpp.

An operation is a member of the class that returns an awaitable of spargio::detail; overloads count each.
"""
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/spargio/native_lane.hpp"
TEST = ROOT / "tests/runtime/native_lane_errors_test.cpp"


def main():
    operations = Counter(re.findall(r"detail::\w+Awaiter(?:<\w+>)?\s+(\w+)\(", HEADER.read_text()))
    rows = Counter(re.findall(r'^        \{"(\w+)",', TEST.read_text(), re.MULTILINE))
    missing = operations - rows
    unknown = rows - operations
    for name in sorted(missing):
        print(f"{name}: {operations[name]} in the header, {rows[name]} in the table")
    for name in sorted(unknown):
        print(f"{name}: a row for what is no operation")
    if not operations:
        print("no operation found in the header")
    print(f"{sum(operations.values())} operations, {sum(rows.values())} rows")
    return 1 if missing or unknown or not operations else 0


if __name__ == "__main__":
    sys.exit(main())
