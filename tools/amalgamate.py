#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""include/flux.hpp + include/flux/** -> single_include/flux.hpp, and the rules that keep this possible.

    tools/amalgamate.py              check the rules, write single_include/flux.hpp
    tools/amalgamate.py --check      check the rules, fail if single_include/flux.hpp is not what would be written
    tools/amalgamate.py --layers     check the rules only
    tools/amalgamate.py --umbrella   rewrite the include lists of flux.hpp and of the optional umbrellas from the tree

A pure function of the tree: no clock, no version control, no formatter, no environment. It works by lines, hence the
rule that includes stand at the top of a file. Deliberately not here: removing comments, reformatting.
"""
import argparse
import hashlib
import pathlib
import re
import sys

UMBRELLA = "flux.hpp"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONDITION = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(.*)")
DIRECTIVE = re.compile(r"^\s*#")
BEGIN = "// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---"
END = "// --- end of the include list ---"



class Tree:
    """The headers under include/, their include lines, and the rules of tools/layers.txt."""

    def __init__(self, root):
        self.root = root
        self.inc = root / "include"
        self.rules = []     # (prefix, allowed prefixes) in layer order
        self.optional = []  # part names in the order of the file
        self.problems = []
        self.lines_of = {}
        for line in (root / "tools/layers.txt").read_text(encoding="ascii").splitlines():
            line = line.split("#", 1)[0].strip()
            if line.startswith("optional "):
                self.optional.append(line.split()[1])
            elif line:
                prefix, allowed = line.split(":", 1)
                self.rules.append((prefix.strip(), tuple(allowed.split())))

    def refuse(self, where, rule, fix):
        problem = f"{where}: {rule}\n    fix: {fix}"
        if problem not in self.problems:
            self.problems.append(problem)

    def headers(self):
        return sorted(str(p.relative_to(self.inc)) for p in self.inc.rglob("*.hpp"))

    def rank(self, header):
        """(layer index, allowed prefixes) of a header: longest prefix wins."""
        best = None
        for index, (prefix, allowed) in enumerate(self.rules):
            if header.startswith(prefix) and (best is None or len(prefix) > len(self.rules[best[0]][0])):
                best = (index, allowed)
        return best

    def part_of(self, header):
        """The optional part that a header belongs to, or None."""
        for part in self.optional:
            if header == f"flux/{part}.hpp" or header.startswith(f"flux/{part}/"):
                return part
        return None

    def lines(self, header):
        if header not in self.lines_of:
            raw = (self.inc / header).read_bytes()
            for number, line in enumerate(raw.split(b"\n"), 1):
                if any(octet > 126 or (octet < 32 and octet != 9) for octet in line):
                    self.refuse(f"{header}:{number}", "not plain ASCII text", "write it in ASCII, with LF line ends")
            self.lines_of[header] = raw.decode("ascii", "replace").splitlines()
        return self.lines_of[header]

    def scan(self, header):
        """Yields (number, line, project include or None, other include or None, stack of open conditions)."""
        conditions = []
        code_seen = False
        comment = False
        for number, line in enumerate(self.lines(header), 1):
            where = f"{header}:{number}"
            text = line.strip()
            if comment:
                comment = "*/" not in text
                yield number, line, None, None, tuple(conditions)
                continue
            c = CONDITION.match(line)
            if c:
                if c.group(1).startswith("if"):
                    conditions.append(f"{c.group(1)} {c.group(2)}")
                elif not conditions:
                    self.refuse(where, f"#{c.group(1)} without #if", "balance the conditions")
                elif c.group(1) == "endif":
                    conditions.pop()
                else:
                    conditions[-1] += f" / {c.group(1)} {c.group(2)}"
            m = INCLUDE.match(line)
            project = other = None
            if m:
                if m.group(1) == '"':
                    self.refuse(where, f'quoted include "{m.group(2)}"', "write the full path in <>")
                if code_seen:
                    self.refuse(where, "include below the first line of code", "move it to the top of the file")
                if m.group(2).startswith("flux/") or m.group(2) == UMBRELLA:
                    project = m.group(2)
                else:
                    other = m.group(2)
            elif text.startswith("/*"):
                comment = "*/" not in text
            elif text and not text.startswith("//") and not DIRECTIVE.match(line):
                code_seen = True
            yield number, line, project, other, tuple(conditions)
        if conditions:
            self.refuse(header, f"#{conditions[-1].strip()} is never closed", "balance the conditions")

    def check_edge(self, header, number, target, conditions):
        where = f"{header}:{number}"
        if target == UMBRELLA:
            self.refuse(where, "a header includes the umbrella", "include the headers that are used")
            return False
        if not (self.inc / target).is_file():
            self.refuse(where, f"includes {target}, which does not exist", "correct the path or add the file")
            return False
        if header == UMBRELLA:
            return True
        if conditions:
            self.refuse(where, f"project include <{target}> inside a conditional", f"only {UMBRELLA} may do this")
        rule = self.rank(header)
        if rule is not None and not target.startswith(rule[1]):
            self.refuse(where, f"layer violation: {header} may not include {target}",
                        "move the code to the right layer (tools/layers.txt says who may include whom)")
        return True

    def includes(self, header):
        return [p for _, _, p, _, _ in self.scan(header) if p is not None and (self.inc / p).is_file()]

    def check_all(self):
        """Every rule that concerns single headers, for all of them, reachable or not."""
        for header in self.headers():
            if header != UMBRELLA and self.rank(header) is None:
                self.refuse(header, "no line in tools/layers.txt matches", "put it into a layer's folder or add a line")
            for number, _, project, _, conditions in self.scan(header):
                if project is not None:
                    self.check_edge(header, number, project, conditions)


def topological(tree, wanted):
    """`wanted` in layer order, every header after those it includes."""
    order, state = [], {}

    def visit(header):
        if header in state:
            return
        state[header] = True
        for target in sorted(tree.includes(header), key=key):
            visit(target)
        if header in wanted:
            order.append(header)

    def key(header):
        rule = tree.rank(header)
        return (rule[0] if rule else len(tree.rules), header)

    for header in sorted(wanted, key=key):
        visit(header)
    return order


def amalgamate(tree):
    """The text of the single header. Refuses what could not be one file, or would mean something else there."""
    seen, stack, system, out = {}, [], set(), []

    def emit(header, outer):
        seen[header] = outer
        stack.append(header)
        out.append(f"// ---- begin {header} ----")
        for number, line, project, other, inner in tree.scan(header):
            conditions = outer + inner
            if line.strip() == "#pragma once":
                continue
            if project is not None:
                if not tree.check_edge(header, number, project, inner):
                    continue
                if project in stack:
                    chain = " -> ".join(stack[stack.index(project):] + [project])
                    tree.refuse(f"{header}:{number}", f"include cycle: {chain}", "split off what both need")
                elif project not in seen:
                    emit(project, conditions)
                elif conditions[:len(seen[project])] != seen[project]:
                    tree.refuse(f"{header}:{number}", f"{project} was first reached under '{seen[project][-1].strip()}', "
                                "but is needed without it",
                                f"include it in the unconditional part of {UMBRELLA}")
                continue
            if other is not None and not conditions:
                if other in system:
                    continue
                system.add(other)
            out.append(line.rstrip())
        out.append(f"// ---- end {header} ----")
        stack.pop()

    emit(UMBRELLA, ())
    lost = [header for header in tree.headers() if header not in seen]
    if lost:
        tree.refuse("include", f"not reachable from {UMBRELLA}: " + " ".join(lost), "run tools/amalgamate.py --umbrella")
    body = "\n".join(out) + "\n"
    return ("// Generated by tools/amalgamate.py from include/. Do not edit.\n"
            f"// sha256 of what follows: {hashlib.sha256(body.encode()).hexdigest()}\n"
            "#pragma once\n" + body)


def new_umbrella(part):
    if part is None:
        return ["// SPDX-License-Identifier: MIT", "// flux.hpp - all of flux.", "#pragma once", "", BEGIN, END]
    return ["// SPDX-License-Identifier: MIT", f"// flux/{part}.hpp - the optional part '{part}': all of flux/{part}/.",
            "#pragma once", "", BEGIN, END]


def write_umbrellas(tree):
    """Replaces what stands between the marks. An umbrella without marks is hand-made and is left alone."""
    for part in tree.optional + [None]:  # the main umbrella last: it lists the optional ones that exist
        name = f"flux/{part}.hpp" if part else UMBRELLA
        path = tree.inc / name
        wanted = {h for h in tree.headers() if h not in (UMBRELLA, name) and tree.part_of(h) == part}
        if part and not wanted:
            continue
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else new_umbrella(part)
        if BEGIN not in lines or END not in lines:
            continue
        block = [f"#include <{h}>" for h in topological(tree, wanted)]
        if part is None:
            for extra in tree.optional:
                if (tree.inc / f"flux/{extra}.hpp").is_file():
                    macro = f"FLUX_WITH_{extra.upper()}"
                    block += ["", f"#if defined({macro}) && {macro}", f"#include <flux/{extra}.hpp>", "#endif"]
        lines[lines.index(BEGIN) + 1:lines.index(END)] = block
        text = "\n".join(lines) + "\n"
        if not path.exists() or path.read_text(encoding="ascii") != text:
            path.write_text(text, encoding="ascii")
            print(f"wrote include/{name}")
        tree.lines_of.pop(name, None)


def main():
    parser = argparse.ArgumentParser(description="Makes single_include/flux.hpp and checks the layering.")
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    parser.add_argument("--layers", action="store_true", help="check the rules only")
    parser.add_argument("--umbrella", action="store_true", help="rewrite the include lists first")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    options = parser.parse_args()
    tree = Tree(options.root)
    if options.umbrella:
        write_umbrellas(tree)
        return 0
    tree.check_all()
    text = amalgamate(tree)
    if tree.problems:
        print("\n".join(tree.problems), file=sys.stderr)
        print(f"{len(tree.problems)} problem(s)", file=sys.stderr)
        return 1
    if options.layers:
        return 0
    target = options.root / "single_include" / UMBRELLA
    if options.check:
        if not target.exists() or target.read_bytes() != text.encode():
            print("single_include/flux.hpp is not what include/ gives: run tools/amalgamate.py", file=sys.stderr)
            return 1
        return 0
    if not target.exists() or target.read_bytes() != text.encode():
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(text.encode())
        print("wrote single_include/flux.hpp")
    return 0


if __name__ == "__main__":
    sys.exit(main())
