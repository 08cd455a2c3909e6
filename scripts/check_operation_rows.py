#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when an operation of NativeLane has no row in the table of tests/support/lane_operations.cpp.

An operation is what the class offers, whatever it returns, but for the members that are named here; overloads count
each. So that none escapes into another place, the class has no base, and no other header makes something of it, or of
the awaiters that it gives. A row calls the operation that it names, and two rows of one name call it differently.

check_operation_rows.py [ROOT]: that of the project, unless it is told.
"""
import re
import sys
from collections import Counter
from pathlib import Path

LANE = "include/spargio/native_lane.hpp"
AWAITERS = "include/spargio/detail/transfer.hpp"
TABLE = "tests/support/lane_operations.cpp"

NOT_OPERATIONS = {"shard", "current_position"}
# Where other headers may name the class.
HARMLESS = re.compile(r"\bclass NativeLane\s*;|\bResult<NativeLane>\s+native_lane\(")


def without_comments(text, keep_strings=False):
    """The code alone: also without the directives of the preprocessor, but with what stands between them."""
    text = re.sub(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")',
                  lambda found: (found[1] if keep_strings else '""') if found[1] else " ", text, flags=re.DOTALL)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.MULTILINE)


def end_of_group(text, begin):
    """Behind the parenthesis, bracket or brace that closes the one at `begin`."""
    depth = 0
    for at in range(begin, len(text)):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0:
            return at + 1
    return len(text)


def function_name(declaration):
    """None if the declaration is of no function. Little may follow its parameters, so their parenthesis is known."""
    for found in re.finditer(r"(operator\s*(?:\(\s*\)|[^\s\w(]+|\w+)|~?\w+)\s*\(", declaration):
        behind = declaration[end_of_group(declaration, found.end() - 1):].lstrip()
        if re.match(r"$|const\b|noexcept\b|&|->|requires\b|=|final\b|override\b|:", behind):
            return found[1]
    return None


def declarations(body):
    """(access, text without a body) of each declaration of a class."""
    access, begin, at = "private", 0, 0
    while at < len(body):
        label = re.match(r"(public|protected|private)\s*:(?!:)", body[at:])
        if label and not body[begin:at].strip():
            access, at = label[1], at + label.end()
            begin = at
        elif body[at] in "([":
            at = end_of_group(body, at)
        elif body[at] in ";{":
            text = re.sub(r"\[\[.*?\]\]", "", body[begin:at], flags=re.DOTALL).strip()
            at = end_of_group(body, at) if body[at] == "{" else at + 1
            begin = at
            if text:
                yield access, text
        else:
            at += 1


def operations(header, problems):
    """How often the class offers each; and what is left of the header."""
    found = re.search(r"\b(class|struct)\s+NativeLane\b([^;{]*)\{", header)
    if not found:
        problems.append("no class NativeLane")
        return Counter(), header
    if ":" in found[2]:
        problems.append("NativeLane has a base: its operations would not be seen")
    end = end_of_group(header, found.end() - 1)
    names = []
    for access, text in declarations(("public:" if found[1] == "struct" else "") + header[found.end():end - 1]):
        is_friend = re.match(r"friend\b", text)
        if (access != "public" and not is_friend) or (is_friend and "(" not in text):
            continue
        name = function_name(text)
        if name is None:
            name = re.split(r"[={]", text)[0].split()[-1]
        if name not in NOT_OPERATIONS and name.lstrip("~") != "NativeLane":
            names.append(name)
    return Counter(names), header[:found.start()] + header[end:]


def awaiters(header):
    """The classes that are an OperationAwaiter."""
    bases = re.findall(r"\b(?:class|struct)\s+(\w+)[^;:{]*:([^;{]*)\{", header)
    found = {"OperationAwaiter"}
    while more := {name for name, of in bases if name not in found and found & set(re.findall(r"\w+", of))}:
        found |= more
    return found


def rows(table, problems):
    """How often the table has each operation."""
    names, calls = [], set()
    begins = [*re.finditer(r'\{\s*"(\w+)"\s*,', table)]
    for begin, after in zip(begins, [*begins[1:], None]):
        name, body = begin[1], table[begin.end():after.start() if after else len(table)]
        names.append(name)
        call = re.search(rf"\blane\s*\.\s*{name}\s*\(", body)
        if not call:
            problems.append(f"{name}: a row that does not call it")
            continue
        text = re.sub(r"\s+", "", body[call.start():end_of_group(body, call.end() - 1)])
        if text in calls:
            problems.append(f"{name}: two rows call the same")
        calls.add(text)
    return Counter(names)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    problems = []
    offered, beside = operations(without_comments((root / LANE).read_text()), problems)
    kinds = awaiters(without_comments((root / AWAITERS).read_text()))
    for header in sorted((root / "include").rglob("*.hpp")):
        name = header.relative_to(root).as_posix()
        text = beside if name == LANE else without_comments(header.read_text())
        if re.search(r"\bNativeLane\b", HARMLESS.sub("", text)):
            problems.append(f"{name}: makes something of NativeLane beside the class")
        if name != AWAITERS and re.search(rf"\b(?:{'|'.join(kinds)})\b", text):
            problems.append(f"{name}: gives an operation's awaiter, and is not NativeLane")
    listed = rows(without_comments((root / TABLE).read_text(), keep_strings=True), problems)
    problems += [f"{name}: {offered[name]} in the header, {listed[name]} in the table" for name in offered - listed]
    problems += [f"{name}: a row for what is no operation" for name in listed - offered]
    if not offered:
        problems.append("no operation found in the header")
    for problem in problems:
        print(problem)
    print(f"{sum(offered.values())} operations, {sum(listed.values())} rows")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
