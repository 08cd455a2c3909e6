#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/check_documents.py: what it makes of a document, and that wrong ones are found, where they are wrong."""
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import check_documents as tool  # noqa: E402

COMPILER = [os.environ.get("CXX", "c++")]
# As much of a task as a compiler needs to see.
LIBRARY = """\
#include <coroutine>
namespace spargio {
template <class T = void>
struct Task {
    struct promise_type {
        Task get_return_object();
        std::suspend_never initial_suspend();
        std::suspend_never final_suspend() noexcept;
        void return_void();
        void unhandled_exception();
    };
};
}
"""


def document(code, before="", language="cpp"):
    """Its code begins in the line after `before` and the fence."""
    return f"Text.\n\n{before}```{language}\n{code}```\n\nMore text.\n"


def compiled(text):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(tool, "PREAMBLE", LIBRARY):
        root = Path(folder)
        (root / "D.md").write_text(text, encoding="utf-8")
        return "".join(tool.errors_in(unit, COMPILER, root) for unit in tool.units_of(text, "D.md"))


class Compiling(unittest.TestCase):
    def test_statements_definitions_and_programs_compile(self):
        self.assertEqual(compiled(document("int a = 1;\n++a;\n")), "")
        self.assertEqual(compiled(document("int a = two();\nint two() {\n    return 2;\n}\nint b = two() + a;\n")), "")
        self.assertEqual(compiled(document("auto f = [] { ... };\nif (true) { ... }\nfor (;;) {\n    f();\n}\n")), "")
        self.assertEqual(compiled(document("struct S {\n    int i;\n};\nS s{1};\n")), "")
        self.assertEqual(compiled(document("#include <cstddef>\nint main() {\n    return 0;\n}\n")), "")

    def test_a_wrong_name_is_found_where_it_is(self):
        self.assertIn("D.md:6:1: error", compiled(document("int a = 1;\n\nb = a;\n")))
        self.assertIn("D.md:5:12: error", compiled(document("int two() {\n    return b;\n}\nint c = two();\n")))
        self.assertIn("D.md:7:9: error", compiled(document("int two() {\n    return 2;\n}\nint a = b;\n")))
        self.assertIn("D.md:6:12: error", compiled(document("#include <cstddef>\nint main() {\n    return b;\n}\n")))

    def test_a_warning_is_an_error_but_not_for_what_is_unused(self):
        self.assertIn("D.md:5:9: error", compiled(document("long l = 1;\nint i = l;\n")))
        self.assertEqual(compiled(document("int unused = 1;\n")), "")

    def test_a_comment_declares_what_is_missing(self):
        before = "<!-- snippet: int two(); -->\n"
        self.assertEqual(compiled(document("int a = two();\n", before)), "")
        before = "<!-- snippet:\nint two();\nspargio::Task<int> body(int a, int b)\n-->\n"
        self.assertEqual(compiled(document("a = two() + b;\n", before)), "")
        self.assertIn("D.md:8:5: error", compiled(document("a = three();\n", before)))
        self.assertIn("D.md:4:1: error", compiled(document("int a = 1;\n", before.replace("int two", "itn two"))))

    def test_blocks_do_not_see_each_other(self):
        self.assertIn("D.md:12:9: error", compiled(document("int a = 1;\n") + "\n" + document("int b = a;\n")))

    def test_what_is_not_cpp_is_not_compiled(self):
        self.assertEqual(tool.units_of(document("nonsense\n", language="sh"), "D.md"), [])

    def test_what_needs_asio_is_left_out_without_it(self):
        unit = tool.units_of(document("asio::post();\n"), "D.md")[0]
        self.assertRegex(unit, r"#if __has_include\(<asio.hpp>\)\nnamespace block_4 ")


class Names(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for file, text in {
            "CMakePresets.json": '{"configurePresets": [{"name": "base", "hidden": true}, {"name": "dev"}]}',
            "scripts/go.sh": "--fast",
            "src/a.cpp": "int known();",
            "src/D.md": "unknown",
            "examples/one.cpp": "",
            "examples/CMakeLists.txt": "",
            "tests/CMakeLists.txt": "add_executable(probe)",
        }.items():
            (self.root / file).parent.mkdir(exist_ok=True)
            (self.root / file).write_text(text, encoding="utf-8")

    def wrong(self, line, where="D.md"):
        return list(tool.wrong_names(f"Text.\n{line}\n", where, self.root))

    def test_what_exists_is_not_reported(self):
        for line in ("[a](src/a.cpp) [b](https://example.org/x.html) [c](#a)", "scripts/go.sh --fast  # quick",
                     "cmake --preset dev", "build/dev/tests/probe && build/dev/examples/one"):
            self.assertEqual(self.wrong(line), [], line)
        self.assertEqual(list(tool.wrong_names(document("auto f = [a](b) {};\n"), "D.md", self.root)), [])
        self.assertEqual(self.wrong("[a](a.cpp)", "src/D.md"), [])

    def test_what_does_not_exist_is(self):
        for line, what in {
            "[a](src/b.cpp)": "a link to src/b.cpp",
            "scripts/gone.sh": "scripts/gone.sh does not exist",
            "scripts/go.sh --fast --slow": "scripts/go.sh has no --slow",
            "cmake --preset base": "no preset base",
            "build/new/examples/one": "no preset new",
            "build/dev/examples/two": "nothing builds two",
            "build/dev/tests/prob": "nothing builds prob",
        }.items():
            self.assertEqual(len(self.wrong(line)), 1, line)
            self.assertRegex(self.wrong(line)[0], f"^D.md:2: .*{what}", line)

    def test_a_name_in_code_is_one_of_the_project(self):
        words = tool.words_of(self.root)
        text = "`known()`, `a.cpp`, `CMAKE_X`, `kno_...`, unknown\n" + document("unknown\n")
        self.assertEqual(list(tool.unknown_words(text, "D.md", words)), [])
        self.assertEqual(list(tool.unknown_words("\n`x.unknown(1)`", "D.md", words)),
                         ["D.md:2: `unknown` is nowhere in the project"])


if __name__ == "__main__":
    unittest.main()
