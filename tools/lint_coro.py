#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Finds coroutine code that a supported compiler translates wrongly, or that dangles by design.

    tools/lint_coro.py FILE_OR_DIRECTORY...

    condition   if/while/switch (co_await ...) without an initialiser; co_await behind !, && or ||
    braces      co_await inside a braced initialiser
    choice      co_await beside or directly around ?:
    throw       co_await inside a throw expression
    capture     a coroutine that is a lambda with captures other than plain references
    parameter   a coroutine with a std::string_view or const std::string& parameter

A line may say "// lint_coro: allow <rule>: <reason>". The tool knows tokens and brackets, not C++: macros and
unusual layouts can hide a construct from it.
"""
import pathlib
import re
import sys

ALLOW = re.compile(r"// lint_coro: allow (\w+): \S")
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
                     r"|(?m:^[ \t]*\#(?:\\\n|[^\n])*)", re.S)
TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|::|->|&&|\|\||\S")
MATE = {")": "(", "]": "[", "}": "{"}
COROUTINE = ("co_await", "co_return", "co_yield")
CONTROL = ("if", "for", "while", "switch", "catch", "constexpr")
QUALIFIER = ("const", "noexcept", "mutable", "override", "final", "requires", "constexpr", "consteval", "&", "&&", "->")
DANGLING = re.compile(r"\bstring_view\b|\bconst\s+(std\s*::\s*)?string\s*&(?!&)|\bstring\s+const\s*&(?!&)")


class Source:
    def __init__(self, text):
        self.lines = text.split("\n")
        self.text = NO_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
        self.token, self.offset = [], []
        for m in TOKEN.finditer(self.text):
            self.token.append(m.group())
            self.offset.append(m.start())
        self.mate = {}                            # bracket <-> bracket
        self.parent = [-1] * len(self.token)      # the innermost bracket open around a token
        self.known = {}
        stack = []
        for i, t in enumerate(self.token):
            if t in MATE and stack and self.token[stack[-1]] == MATE[t]:
                o = stack.pop()
                self.mate[o], self.mate[i] = i, o
            self.parent[i] = stack[-1] if stack else -1
            if t in MATE.values():
                stack.append(i)

    def line(self, i):
        return self.text.count("\n", 0, self.offset[i]) + 1

    def side(self, i, step):
        """Indices of the tokens of i's own bracket level, from i (exclusive) to the end of its statement, nearest
        first. A nested group stands as its nearer bracket."""
        i += step
        found = []
        while 0 <= i < len(self.token):
            t = self.token[i]
            if t == ";":
                break
            if t in "([{" or t in MATE:
                if i not in self.mate or (t in MATE) != (step < 0):
                    break
                if t in "{}" and self.kind(min(i, self.mate[i])) in ("block", "function", "type"):
                    break
                found.append(i)
                i = self.mate[i]
            else:
                found.append(i)
            i += step
        return found

    def head(self, i):
        """The level's tokens before i as (indices, strings) in reading order; groups are '()', '[]' and '{}'."""
        indices = self.side(i, -1)[::-1]
        return indices, [MATE[self.token[k]] + self.token[k] if self.token[k] in MATE else self.token[k]
                         for k in indices]

    def parameters_at(self, words):
        """Position of the parameter list in the head of a function or lambda body, or -1."""
        for k, word in enumerate(words):
            if word != "()" or (k > 0 and words[k - 1] in ("noexcept", "requires", "decltype", "alignas")):
                continue
            rest = words[k + 1:]
            while rest and rest[0] in ("&", "&&"):
                rest = rest[1:]
            if not rest or rest[0] in QUALIFIER or rest[0] == ":":
                return k
        return -1

    def is_lambda(self, words, k):
        """Whether the token before position k ends a lambda introducer, with or without template parameters."""
        k -= 1
        if k >= 0 and words[k] == ">":
            depth = 0
            while k >= 0:
                depth += {">": 1, "<": -1}.get(words[k], 0)
                k -= 1
                if depth == 0:
                    break
        return k >= 0 and words[k] == "[]" and (k == 0 or not re.match(r"[\w)\]]", words[k - 1][-1])
                                                or words[k - 1] in ("return", "co_return", "co_await"))

    def kind(self, brace):
        """What a '{' opens: block, function, lambda, type or initialiser."""
        if brace not in self.known:
            self.known[brace] = self.find_kind(self.head(brace)[1])
        return self.known[brace]

    def find_kind(self, words):
        while words and words[0] in ("public", "private", "protected") and words[1:2] == [":"]:
            words = words[2:]
        if not words or words[-1] in ("else", "do", "try") or words[-1] == ":" or words[-1] == "{}":
            return "block" if not words or words[-1] != "{}" else "function"
        types = [k for k, w in enumerate(words) if w in ("namespace", "class", "struct", "union", "enum", "extern")]
        if types and not {"()", "=", "return", "co_return"} & set(words[types[-1]:]):
            return "type"
        if words[-1] == "()" and len(words) > 1 and words[-2] in CONTROL:
            return "block"
        if words[-1] == "[]" and self.is_lambda(words, len(words)):
            return "lambda"
        k = self.parameters_at(words)
        if k > 0:
            return "lambda" if self.is_lambda(words, k) else "function"
        return "initialiser"

    def body(self, i):
        """The brace of the function or lambda around a token, or -1."""
        i = self.parent[i]
        while i != -1 and not (self.token[i] == "{" and self.kind(i) in ("function", "lambda")):
            i = self.parent[i]
        return i


def near(source, indices):
    """The tokens of one side up to the next comma."""
    words = []
    for i in indices:
        if source.token[i] == ",":
            break
        words.append(source.token[i])
    return words


def check_await(source, i, report):
    token = source.token
    before = i - 1
    while before > 0 and token[before] == "(" and token[before - 1] not in CONTROL:
        before -= 1
    if token[before] in ("!", "&&", "||"):
        report(i, "condition", f"{token[before]} co_await: name the result first")
    if token[before] == "(" and token[before - 1] in ("if", "while", "switch"):
        report(i, "condition", f"{token[before - 1]} (co_await ...): name the result first")
    if token[i + 1:i + 2] == ["("] and i + 1 in source.mate:
        inside = [k for k in range(i + 2, source.mate[i + 1]) if source.parent[k] == i + 1]
        if any(token[k] == "?" for k in inside):
            report(i, "choice", "co_await (a ? b : c): choose first, then await")
    at = i
    while True:
        left = source.side(at, -1)
        right = source.side(at if at == i else source.mate.get(at, at), +1)
        if "?" in near(source, left) or "?" in near(source, right):
            report(i, "choice", "co_await beside ?: - write if and else")
        if any(token[k] == "throw" for k in left):
            report(i, "throw", "co_await inside throw: name the result first")
        at = source.parent[at]
        if at == -1 or (token[at] == "{" and source.kind(at) != "initialiser"):
            return
        if token[at] == "{":
            report(i, "braces", "co_await inside braces: name the result first")


def check_coroutine(source, body, report):
    indices, words = source.head(body)
    k = source.parameters_at(words)
    if source.kind(body) == "lambda":
        introducer = max(n for n in range(len(words) if k < 0 else k) if words[n] == "[]")
        end = indices[introducer]
        captures = source.text[source.offset[source.mate[end]] + 1:source.offset[end]].strip()
        if any(not re.fullmatch(r"&\s*\w*", capture.strip()) for capture in captures.split(",") if capture.strip()):
            report(body, "capture", f"a coroutine lambda captures [{captures}]: pass it as a parameter")
    if k >= 0:
        end = indices[k]
        found = DANGLING.search(source.text[source.offset[source.mate[end]]:source.offset[end]])
        if found:
            report(source.mate[end], "parameter",
                   f"a coroutine takes '{found.group().strip()}': take a value, or copy before the coroutine starts")


def check(path):
    source = Source(path.read_text(encoding="utf-8", errors="replace"))
    problems = []

    def report(i, rule, text):
        line = source.line(i)
        allowed = ALLOW.search(source.lines[line - 1])
        problem = f"{path}:{line}: [{rule}] {text}"
        if not (allowed and allowed.group(1) == rule) and problem not in problems:
            problems.append(problem)

    bodies = []
    for i, t in enumerate(source.token):
        if t not in COROUTINE or (i > 0 and source.token[i - 1] == "operator"):
            continue
        if t == "co_await":
            check_await(source, i, report)
        body = source.body(i)
        if body != -1 and body not in bodies:
            bodies.append(body)
            check_coroutine(source, body, report)
    return problems


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    problems = []
    for path in map(pathlib.Path, arguments):
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".hpp", ".cpp"))
        for file in files:
            problems += check(file)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
