#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a header may do to the program that includes it, and how it has to look.

    tools/lint_headers.py names    namespaces, names and variables at namespace scope
    tools/lint_headers.py style    heads, includes, sizes, printing

names   every namespace at file scope is flux; no using namespace; no unnamed namespace; nothing static and no
        variable without inline at namespace scope
style   the first lines are the licence and "// <path> - <purpose>"; #pragma once; no include of a heavy or foreign
        library; FLUX_WITH_ only in flux.hpp; nothing printed; at most 800 lines; no TODO

A line may say "// lint_headers: allow <rule>: <reason>"; the rules are those in the brackets of the messages.
"""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
from lint_coro import Source  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOW = re.compile(r"// lint_headers: allow (\w+): \S")
HEAVY = ("iostream", "regex", "ranges", "format", "functional", "fstream", "sstream", "iomanip", "locale", "future")
# A library's header, and the only place that may include it.
HOME = (("liburing", "flux/io/"), ("linux/io_uring", "flux/io/"), ("wolfssl/", "flux/tls/library.hpp"), ("zlib.h", "flux/zlib"),
        ("doctest", "tests/"))
# The line before an abort, and the two functions that stand in for the rest of main.
MAY_PRINT = ("flux/config.hpp", "flux/io/run.hpp", "flux/http/server/serve.hpp")
PRINT = re.compile(r"\b(cout|cerr|clog|printf|fprintf|vfprintf|puts|fputs|putchar|perror)\b")
NOT_VARIABLES = ("using", "typedef", "struct", "class", "enum", "union", "namespace", "template", "extern",
                 "static_assert", "friend", "concept", "operator", "inline", "asm", "requires")


def names(source, report):
    token = source.token

    def outer(i):
        """Whether a bracket index is no bracket at all or the brace of a namespace (or extern "C" block)."""
        if i == -1:
            return True
        return token[i] == "{" and source.kind(i) == "type" and bool({"namespace", "extern"} & set(source.head(i)[1]))

    for i, t in enumerate(token):
        if t == "namespace":
            if i and token[i - 1] == "using":
                if outer(source.parent[i]):
                    report(i, "using", "using namespace in a header")
            elif token[i + 1] == "{":
                report(i, "unnamed", "unnamed namespace: every translation unit gets a copy of its own")
            elif source.parent[i] == -1 and token[i + 1] != "flux":
                report(i, "namespace", f"namespace {token[i + 1]} at file scope")
    start = True
    for i, t in enumerate(token):
        if not outer(source.parent[i]):
            continue
        if t in ";}" or (t == "{" and outer(i)):
            # A requires expression or a braced value ends inside its declaration.
            start = t != "}" or source.kind(source.mate.get(i, i)) != "initialiser"
            continue
        if not start:
            continue
        if t in "[]":  # an attribute; the declaration follows
            continue
        start = False
        words = []
        for k in [i] + source.side(i, +1):
            if token[k] in ("=", "(", "{"):
                break
            words.append(token[k])
        end = token[k] if token[k] in ("=", "(", "{") else ";"
        if "static" in words:
            report(i, "static", "static at namespace scope: every translation unit gets a copy of its own")
        elif end != "(" and len(words) > 1 and not set(words) & set(NOT_VARIABLES):
            if end != "{" or source.kind(k) == "initialiser":
                report(i, "variable", f"variable '{words[-1]}' without inline at namespace scope")


def style(source, name, report_line):
    lines = source.lines
    if lines[0] != "// SPDX-License-Identifier: MIT":
        report_line(1, "licence", "the first line must be '// SPDX-License-Identifier: MIT'")
    if len(lines) < 2 or not lines[1].startswith(f"// {name} - "):
        report_line(2, "purpose", f"the second line must be '// {name} - <what it is for>'")
    if "#pragma once" not in lines:
        report_line(1, "guard", "#pragma once is missing")
    if len(lines) > 801:
        report_line(801, "size", f"{len(lines) - 1} lines; split at 800")
    for number, line in enumerate(lines, 1):
        m = re.match(r"\s*#\s*include\s*<([^>]+)>", line)
        if m:
            if m.group(1) in HEAVY:
                report_line(number, "heavy", f"<{m.group(1)}> costs every user compile time")
            for library, home in HOME:
                if m.group(1).startswith(library) and not name.startswith(home):
                    report_line(number, "library", f"<{m.group(1)}> may be included by {home} only")
        if "FLUX_WITH_" in line and name != "flux.hpp" and not line.lstrip().startswith("//"):
            report_line(number, "part", "FLUX_WITH_ macros may only add whole files, in flux.hpp")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            report_line(number, "unfinished", "what is in the tree is finished")
    for number, line in enumerate(source.text.split("\n"), 1):
        m = PRINT.search(line)
        if m and name not in MAY_PRINT:
            report_line(number, "print", f"{m.group()}: a library does not print")


def main(arguments):
    if not arguments or arguments[0] not in ("names", "style"):
        sys.exit(__doc__)
    include = pathlib.Path(arguments[1]) if len(arguments) > 1 else ROOT / "include"
    problems = []
    for path in sorted(include.rglob("*.hpp")):
        name = str(path.relative_to(include))
        source = Source(path.read_text(encoding="utf-8", errors="replace"))

        def report_line(line, rule, text, source=source, name=name):
            allowed = ALLOW.search(source.lines[line - 1]) if line <= len(source.lines) else None
            if not (allowed and allowed.group(1) == rule):
                problems.append(f"{name}:{line}: [{rule}] {text}")

        if arguments[0] == "names":
            names(source, lambda i, rule, text: report_line(source.line(i), rule, text))
        else:
            style(source, name, report_line)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
