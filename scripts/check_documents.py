#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the C++ that the documents show, and looks for the files, scripts, presets and names that they mention.

usage: check_documents.py COMPILER [FLAG]...    (FLAG: for the compiler, where headers are in unusual places)

A block that is fenced as `cpp` in one of DOCUMENTS is compiled, with the lines and the name of its document:

* a block with an #include is a program, and is compiled as it stands;
* in any other, what is defined at the beginning of a line, a function or a type, up to the `}` at the beginning of a
  line, is put into a namespace; the rest are the statements of one coroutine, `spargio::Task<> body()`;
* `{ ... }` is an empty pair of braces;
* a comment right before the block, which nobody sees in the rendered document, declares what the block takes for
  granted. It may end with the head of another coroutine for the statements:

      <!-- snippet: int work(); asio::awaitable<void> body(spargio::RuntimeHandle handle) -->

All blocks of one document but the programs are one translation unit. Those that name `asio` are left out where there is
no <asio.hpp>.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "examples/README.md"]
# What looks like the name of a function, type or macro in `code` here is one that the project knows, or CMake's, or the
# beginning of one.
WORDY = [*DOCUMENTS, "tests/README.md"]
OTHERS = re.compile(r"(CMAKE|BUILD)_\w+|\w+_")
FOLDERS = [".github", "bench", "cmake", "examples", "include", "scripts", "src", "tests"]
# Here links, scripts, presets and programs are looked at. (Git's own list would miss a document that is new.)
PLACES = ["*.md", "bench/*.md", "examples/*.md", "src/*.md", "tests/*.md", "tests/*/*.md"]

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-Wno-unused-variable",
            "-Wno-unused-but-set-variable", "-Wno-unused-parameter"]
# To GCC what has a document's name is a header.
HEAD = """\
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif
"""
# What the text around the blocks takes for granted.
PREAMBLE = """\
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <liburing.h>
#include <unistd.h>
#include <spargio/spargio.hpp>
#if __has_include(<asio.hpp>)
#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <spargio/asio.hpp>
#endif
using namespace std::chrono_literals;
"""

BLOCK = re.compile(r"^(?:<!-- snippet:(?P<given>(?:(?!-->).)*)-->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
                   re.MULTILINE | re.DOTALL)
TYPE = re.compile(r"(template|struct|class|enum|namespace|using)\b")
FUNCTION = re.compile(r"[\w:<>,*& ]+ \w+\(.*\) (const )?\{")


class Piece:
    """Text, and the line of the document that it begins in."""

    def __init__(self, line, text):
        self.line, self.text = line, text

    def source(self, document):
        return f'#line {self.line} "{document}"\n{self.text.rstrip()}\n' if self.text.strip() else ""


class Block:
    def __init__(self, text, found):
        def piece(name):
            return Piece(text.count("\n", 0, max(found.start(name), 0)) + 1, found[name] or "")

        self.code, self.given = piece("code"), piece("given")
        self.language, self.line = found["language"], self.code.line

    def lines(self):
        return range(self.line, self.line + self.code.text.count("\n"))

    def is_program(self):
        return re.search(r"^#include", self.code.text, re.MULTILINE) is not None


def blocks_of(text):
    return [Block(text, found) for found in BLOCK.finditer(text)]


def split(code):
    """The definitions of a block, and its statements, as pieces in their order."""
    definitions, statements = [], []
    inside = None  # The list that a definition, which has not ended, or the last statement is in.
    for number, line in enumerate(code.text.split("\n"), code.line):
        begins = line[:1] not in ("", " ", "}", "/")
        if begins and (TYPE.match(line) or FUNCTION.match(line)):
            definitions.append(Piece(number, ""))
            inside = definitions
        elif inside is None or (begins and inside is definitions):
            statements.append(Piece(number, ""))
            inside = statements
        inside[-1].text += line + "\n"
    return definitions, statements


def wrapped(block, document):
    """The block as it stands in the document's translation unit."""
    text = block.given.text
    end = max(text.rfind(";"), text.rfind("}")) + 1
    head = Piece(block.given.line + text.count("\n", 0, end), text[end:])
    code = Piece(block.line, block.code.text.replace("{ ... }", "{     }"))
    definitions, statements = split(code)
    parts = [f"namespace block_{block.line} {{\n", Piece(block.given.line, text[:end]).source(document)]
    parts += [part.source(document) for part in definitions]
    parts += [head.source(document) or "spargio::Task<> body()\n", "{\n"]
    parts += [part.source(document) for part in statements]
    parts += ["co_return;\n", "}\n", "}\n"]
    if re.search(r"\basio\b", text + code.text):
        parts = ["#if __has_include(<asio.hpp>)\n"] + parts + ["#endif\n"]
    return "".join(parts)


def units_of(text, document):
    """What is to be compiled of a document: source texts."""
    blocks = [block for block in blocks_of(text) if block.language == "cpp"]
    units = [block.code.source(document) for block in blocks if block.is_program()]
    others = [wrapped(block, document) for block in blocks if not block.is_program()]
    return units + ([PREAMBLE + "".join(others)] if others else [])


def errors_in(source, compiler, root):
    """What the compiler says, if it refuses. It runs in `root`, where it finds the lines that it complains about."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "document.cpp"
        file.write_text(HEAD + source, encoding="utf-8")
        command = [compiler[0], "-std=c++20", "-fsyntax-only", *WARNINGS, "-Iinclude", *compiler[1:], str(file)]
        done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    return done.stderr or f"{compiler[0]} failed\n" if done.returncode != 0 else ""


def wrong_names(text, document, root):
    """Links, scripts with their options, presets and programs that do not exist."""
    presets = json.loads((root / "CMakePresets.json").read_text(encoding="utf-8"))["configurePresets"]
    presets = {preset["name"] for preset in presets if not preset.get("hidden")}
    cpp = {number for block in blocks_of(text) if block.language == "cpp" for number in block.lines()}
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{document}:{number}"
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", line) if number not in cpp else []:
            if "://" not in link and not ((root / document).parent / link).exists():
                yield f"{where}: a link to {link}, which does not exist"
        for script, words in re.findall(r"(?<![\w/])(scripts/[\w.]+\w)([^`&|]*)", line):
            file = root / script
            if not file.is_file():
                yield f"{where}: {script} does not exist"
                continue
            for option in re.findall(r" (--[a-z][\w-]*)", words):
                if option not in file.read_text(encoding="utf-8"):
                    yield f"{where}: {script} has no {option}"
        for preset in re.findall(r"--preset[ =]([\w-]+)", line):
            if preset not in presets:
                yield f"{where}: there is no preset {preset}"
        for preset, folder, program in re.findall(r"\bbuild/([\w-]+)/(examples|tests|bench)/(\w+)", line):
            if preset not in presets | {"demo"}:
                yield f"{where}: there is no preset {preset}"
            made = (root / folder / f"{program}.cpp").is_file() or (root / folder / program).is_dir()
            if not made and not re.search(rf"\b{program}\b", (root / folder / "CMakeLists.txt").read_text("utf-8")):
                yield f"{where}: nothing builds {program}"


def words_of(root):
    """What is written in the project's files, and their names; not in the documents, nor in what checks them."""
    words = set()
    for file in [*root.glob("*"), *(file for folder in FOLDERS for file in (root / folder).rglob("*"))]:
        if file.is_file() and file.suffix not in (".md", ".pyc") and "check_documents" not in file.name:
            words.update(re.findall(r"\w+", f"{file.relative_to(root)} {file.read_text('utf-8', 'ignore')}"))
    return words


def unknown_words(text, document, words):
    cpp = {number for block in blocks_of(text) for number in block.lines()}
    for number, line in enumerate(text.split("\n"), 1):
        for code in re.findall(r"`([^`]+)`", line) if number not in cpp else []:
            for word in re.findall(r"\b[a-z0-9]*[A-Z_]\w+|\b[a-z]\w+(?=\()", code):
                if word not in words and not OTHERS.fullmatch(word):
                    yield f"{document}:{number}: `{word}` is nowhere in the project"


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    failed = blocks = 0
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        shown = len(re.findall(r"^\s*```cpp", text, re.MULTILINE))
        if shown == 0 or shown != sum(block.language == "cpp" for block in blocks_of(text)):
            print(f"{document}: no C++ was found, or a fence is not understood")
            failed += 1
        blocks += shown
        for unit in units_of(text, document):
            if errors := errors_in(unit, sys.argv[1:], ROOT):
                print(errors, end="")
                failed += 1
    named = sorted({file.relative_to(ROOT).as_posix() for place in PLACES for file in ROOT.glob(place)})
    words = words_of(ROOT)
    for document in named:
        text = (ROOT / document).read_text(encoding="utf-8")
        problems = list(wrong_names(text, document, ROOT))
        if document in WORDY:
            problems += unknown_words(text, document, words)
        for problem in problems:
            print(problem)
        failed += len(problems)
    if failed:
        return 1
    print(f"{blocks} blocks of C++ compile; {len(named)} documents name what exists")
    return 0


if __name__ == "__main__":
    sys.exit(main())
