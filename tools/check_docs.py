#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every ```cpp block of README.md and docs/**/*.md that has <!-- compile --> on the line before it."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^<!-- compile -->\n```cpp\n(.*?)^```", re.S | re.M)


def blocks():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if path.exists():
            text = path.read_text()
            for m in BLOCK.finditer(text):
                yield path.relative_to(ROOT), text.count("\n", 0, m.start(1)) + 1, m.group(1)
            for m in re.finditer(r"^<!-- compile -->(?!\n```cpp\n)", text, re.M):
                sys.exit(f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, m.start()) + 1}: no ```cpp block follows")


def compile_block(place):
    path, line, code = place
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as source:
        # The file keeps its name: g++ judges anonymous namespaces of an included file more strictly.
        source.write(f"#line {line}\n{code}")
        source.flush()
        done = subprocess.run([os.environ.get("CXX", "g++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                               "-I", ROOT / "include", source.name], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, f"{path}:{line}: does not compile\n{done.stderr.replace(source.name, str(path))}"


def main():
    found = list(blocks())
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [text for status, text in pool.map(compile_block, found) if status != 0]
    for text in failures:
        print(text, file=sys.stderr)
    print(f"{len(found)} blocks")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
