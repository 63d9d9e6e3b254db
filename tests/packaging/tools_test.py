# SPDX-License-Identifier: MIT
"""The tools must refuse what they say they refuse: each case is a small tree that breaks exactly one rule."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRATCH = tempfile.TemporaryDirectory()
LAYERS = """
flux/version.hpp :
flux/core/       : flux/version.hpp flux/core/
flux/net/        : flux/version.hpp flux/core/ flux/net/
flux/net/odd.hpp : flux/version.hpp
optional tls
flux/tls/        : flux/core/ flux/tls/
flux/tls.hpp     : flux/tls/
optional testing
flux/testing/    : flux/core/ flux/testing/
flux/testing.hpp : flux/testing/
"""
GOOD = {
    "flux.hpp": "#pragma once\n#include <flux/version.hpp>\n#include <flux/core/a.hpp>\n#include <flux/net/b.hpp>\n"
                "#if FLUX_WITH_TLS\n#include <flux/tls.hpp>\n#endif\n",
    "flux/version.hpp": "#pragma once\n#define FLUX_VERSION 1\n",
    "flux/core/a.hpp": "#pragma once\n#include <flux/version.hpp>\n\n#include <vector>\nstruct a {};\n",
    "flux/net/b.hpp": "#pragma once\n#include <flux/core/a.hpp>\n\n#include <vector>\n#include <string>\nstruct b {};\n",
    "flux/tls.hpp": "#pragma once\n#include <flux/tls/t.hpp>\n",
    "flux/tls/t.hpp": "#pragma once\n#include <flux/core/a.hpp>\n\n#include <vector>\nstruct t {};\n",
}


class Tree:
    def __init__(self, files):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH.name))
        self.write("tools/layers.txt", LAYERS)
        for name, text in files.items():
            self.write(f"include/{name}", text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name):
        return (self.root / name).read_text()

    def run(self, *arguments):
        return subprocess.run([sys.executable, "-B", ROOT / "tools/amalgamate.py", "--root", self.root, *arguments],
                              capture_output=True, text=True)


class amalgamation(unittest.TestCase):
    def refused(self, pattern, **changes):
        files = dict(GOOD)
        for name, text in changes.items():
            files[name.replace("__", "/") + ".hpp"] = text
        done = Tree(files).run("--layers")
        self.assertNotEqual(done.returncode, 0, "accepted")
        self.assertRegex(done.stderr, pattern)

    def test_each_header_appears_once_and_repeated_system_includes_go(self):
        tree = Tree(GOOD)
        self.assertEqual(tree.run().returncode, 0)
        text = tree.read("single_include/flux.hpp")
        self.assertEqual(text.count("struct a {};"), 1)
        self.assertEqual(re.findall(r"#include .*", text), ["#include <vector>", "#include <string>", "#include <vector>"])
        self.assertEqual(text.count("#pragma once"), 1)
        self.assertEqual(tree.run("--check").returncode, 0)

    def test_check_refuses_an_edited_and_a_stale_file(self):
        tree = Tree(GOOD)
        tree.run()
        tree.write("single_include/flux.hpp", tree.read("single_include/flux.hpp") + "\n")
        self.assertNotEqual(tree.run("--check").returncode, 0)
        tree.run()
        self.assertEqual(tree.run("--check").returncode, 0)
        tree.write("include/flux/core/a.hpp", GOOD["flux/core/a.hpp"] + "struct more {};\n")
        self.assertNotEqual(tree.run("--check").returncode, 0)

    def test_layer_violation(self):
        self.refused(r"flux/core/a.hpp:2: layer violation", flux__core__a="#pragma once\n#include <flux/net/b.hpp>\n")

    def test_the_longest_prefix_wins(self):
        self.refused(r"flux/net/odd.hpp:1: layer violation", flux__net__odd="#include <flux/core/a.hpp>\n")

    def test_header_without_a_layer(self):
        self.refused(r"flux/x/y.hpp: no line in tools/layers.txt", flux__x__y="#pragma once\n")

    def test_cycle(self):
        self.refused(r"include cycle: flux/core/a.hpp -> flux/core/c.hpp -> flux/core/a.hpp",
                     flux__core__a="#include <flux/core/c.hpp>\n", flux__core__c="#include <flux/core/a.hpp>\n")

    def test_unreachable_header(self):
        self.refused(r"not reachable from flux.hpp: flux/core/lost.hpp\n", flux__core__lost="#pragma once\n")

    def test_missing_header(self):
        self.refused(r"flux/core/a.hpp:1: includes flux/core/no.hpp, which does not exist",
                     flux__core__a="#include <flux/core/no.hpp>\n")

    def test_text_that_is_not_ascii(self):
        self.refused(r"flux/core/a.hpp:2: not plain ASCII", flux__core__a="#pragma once\n// \u00e4\n")
        self.refused(r"flux/core/a.hpp:1: not plain ASCII", flux__core__a="#pragma once\r\n")

    def test_project_include_inside_a_condition(self):
        self.refused(r"flux/net/b.hpp:2: project include <flux/core/a.hpp> inside a conditional",
                     flux__net__b="#ifdef X\n#include <flux/core/a.hpp>\n#endif\n")

    def test_include_below_code(self):
        self.refused(r"flux/net/b.hpp:2: include below", flux__net__b="struct b {};\n#include <flux/core/a.hpp>\n")

    def test_quoted_include(self):
        self.refused(r"flux/net/b.hpp:1: quoted include", flux__net__b='#include "flux/core/a.hpp"\n')

    def test_the_umbrella_included_from_a_header(self):
        self.refused(r"flux/net/b.hpp:1: a header includes the umbrella", flux__net__b="#include <flux.hpp>\n")

    def test_header_first_reached_under_a_condition(self):
        self.refused(r"flux.hpp:4: flux/core/a.hpp was first reached under 'if X'",
                     flux="#if X\n#include <flux/core/a.hpp>\n#endif\n#include <flux/core/a.hpp>\n"
                          "#include <flux/net/b.hpp>\n#include <flux/tls.hpp>\n")

    def test_header_shared_by_two_optional_parts_only(self):
        self.refused(r"flux/testing.hpp:1: flux/tls/t.hpp was first reached under",
                     flux=GOOD["flux.hpp"] + "#if FLUX_WITH_TESTING\n#include <flux/testing.hpp>\n#endif\n",
                     flux__testing="#include <flux/tls/t.hpp>\n")

    def test_an_include_in_a_block_comment_is_text(self):
        tree = Tree({**GOOD, "flux/net/b.hpp": "/*\n#include <flux/nowhere.hpp>\n*/\n#include <flux/core/a.hpp>\n"})
        self.assertEqual(tree.run("--layers").returncode, 0)

    def test_umbrella_lists_layers_in_order_and_optional_parts_last(self):
        begin, end = (f"// --- {t} ---" for t in (
            "include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark",
            "end of the include list"))
        files = {**GOOD, "flux.hpp": f"// head\n#pragma once\n{begin}\nstale\n{end}\n// tail\n",
                 "flux/core/0.hpp": "#include <flux/core/a.hpp>\n", "flux/testing/x.hpp": "#pragma once\n"}
        tree = Tree(files)
        self.assertEqual(tree.run("--umbrella").returncode, 0)
        text = tree.read("include/flux.hpp")
        self.assertEqual(re.findall(r"<(.*)>", text),
                         ["flux/version.hpp", "flux/core/a.hpp", "flux/core/0.hpp", "flux/net/b.hpp", "flux/tls.hpp",
                          "flux/testing.hpp"])
        self.assertTrue(text.startswith("// head\n") and text.endswith("// tail\n") and "stale" not in text)
        self.assertIn("#include <flux/testing/x.hpp>", tree.read("include/flux/testing.hpp"))
        self.assertEqual(tree.read("include/flux/tls.hpp"), GOOD["flux/tls.hpp"], "hand-made umbrellas stay")
        self.assertEqual(tree.run().returncode, 0)


# Each line: the rule that must be named, or "fine", and the code.
COROUTINE_CODE = """
condition  task<int> f() { if (co_await g()) co_return 1; co_return 2; }
condition  task<int> f() { if (!co_await g()) co_return 1; co_return 2; }
condition  task<int> f() { while ((co_await g())) co_return 1; }
condition  task<int> f() { bool b = !(co_await g()); co_return b; }
condition  task<int> f() { bool b = a && co_await g(); co_return b; }
fine       task<int> f() { if (auto r = co_await g(); !r) { co_return 1; } co_return 2; }
fine       task<int> f() { while (auto r = co_await g()) { use(*r); } co_return 2; }
fine       task<int> f() { auto r = co_await g(); if (!r) { co_return fail(r.error()); } co_return *r; }
fine       auto operator co_await() && noexcept { return awaiter(h_); }
braces     task<int> f() { res r{co_await g(), 1}; co_return r.n; }
braces     task<res> f() { co_return res{co_await g(), 1}; }
braces     task<res> f() { co_return res{.a = h(co_await g()), .n = 1}; }
braces     task<int> f() { use(std::vector<int>{co_await g()}); co_return 0; }
braces     task<int> f() { auto* p = new res{co_await g()}; co_return p->n; }
braces     task<int> f() { p->r = res{co_await g()}; co_return 0; }
fine       task<int> f() { res r(co_await g(), 1); co_return r.n; }
fine       task<int> f() { { auto r = co_await g(); use(r); } co_return 0; }
fine       task<int> f() { try { co_await g(); } catch (const error& e) { keep(e); } co_return 0; }
fine       task<int> f() { for (int i{0}; i < 3; ++i) { co_await g(); } do { co_await g(); } while (more()); co_return 0; }
fine       task<int> f() { switch (n) { case 1: { co_await g(); break; } default: { co_await g(); } } co_return 0; }
fine       class c { public: task<int> f() const noexcept { co_return co_await g(); } int n{0}; };
fine       template <class T> requires (sizeof(T) > 1) struct c : base { task<int> f() { co_return co_await g(); } };
fine       auto f() -> task<std::vector<int>> { co_return co_await g(); }
fine       c::c(int n) : a_(n), b_{n} { start(n); } task<int> c::f() && { co_return co_await g(); }
choice     task<int> f() { auto x = c ? co_await g() : co_await h(); co_return x; }
choice     task<int> f() { co_return co_await (c ? g() : h()); }
choice     task<int> f() { auto x = c ? res(co_await g()) : other; co_return x; }
fine       task<int> f() { auto t = c ? g() : h(); co_return co_await std::move(t); }
fine       task<int> f() { co_return co_await g(c ? 1 : 2); }
fine       task<int> f() { use(c ? 1 : 2, co_await g()); co_return 0; }
throw      task<int> f() { throw error((co_await g()).text); }
fine       task<int> f() { auto r = co_await g(); throw error(r.text); }
capture    void f() { auto l = [x]() -> task<int> { co_return x; }; }
capture    void f() { spawn([&, x](int n) -> task<> { co_await g(n, x); }); }
fine       void f() { auto talk = [&](scope& s) -> task<> { co_await g(s); }; join([&a, &b]() -> task<> { co_await a; }); }
capture    void f() { spawn([this] { co_await g(n); }); }
capture    void f() { spawn([x = std::move(x)]<class T>(T t) mutable -> task<> { co_await t; }); }
capture    task<int> f() { return [x](int n) -> task<int> { co_return n; }(1); }
fine       void f() { spawn([](int n) -> task<> { co_await g(n); }, 3); }
fine       void f() { auto l = [x](int n) { return g(n); }; app.get("/", [&] { return x; }); }
fine       task<int> f() { int a[3] = {1, 2, 3}; auto l = [a](int n) { return a[n]; }; co_return co_await g(l); }
parameter  task<int> f(std::string_view s) { co_return co_await g(s); }
parameter  task<int> f(int n, const std::string& s) noexcept { co_return co_await g(s); }
parameter  void f() { spawn([](std::string_view s) -> task<> { co_await g(s); }); }
fine       task<int> f(std::string_view s) { return g(std::string(s)); }
fine       task<int> f(std::string s, request& r) { co_return co_await g(s, r); }
fine       task<int> f(std::string_view s) { co_return co_await g(s); } // lint_coro: allow parameter: only literals
fine       // if (co_await g()) and "throw co_await g()"
fine       task<int> f() { log("if (co_await g()) ? [x]() -> task"); co_return 0; }
"""


class coroutine_lint(unittest.TestCase):
    def test_each_line(self):
        path = SCRATCH.name + "/code.cpp"
        for line in COROUTINE_CODE.strip().split("\n"):
            rule, code = line.split(None, 1)
            with self.subTest(code=code):
                pathlib.Path(path).write_text(code + "\n")
                done = subprocess.run([sys.executable, "-B", ROOT / "tools/lint_coro.py", path],
                                      capture_output=True, text=True)
                found = sorted(set(re.findall(r"\[(\w+)\]", "\n".join(
                    problem.split(": ", 1)[1].split(" ", 1)[0] for problem in done.stderr.splitlines()))))
                self.assertEqual(found, [] if rule == "fine" else [rule], done.stderr)
                self.assertEqual(done.returncode, 0 if rule == "fine" else 1)


HEADER = "// SPDX-License-Identifier: MIT\n// flux/core/x.hpp - a case\n#pragma once\n"
HEADER_CODE = """
fine       namespace flux::inline FLUX_ABI { inline constexpr int x = 3; template <class T> constexpr bool y = true; }
fine       namespace flux { [[nodiscard]] constexpr int f(int n = 2) { int a = 1; static int b; return a + b + n; } }
fine       namespace flux { class c { static int n; int m = 3; }; enum class e : int { a, b }; struct d; using t = int; }
fine       namespace flux { bool operator==(a, b) noexcept; inline auto g = [] { return 1; }; static_assert(x == 1); }
fine       namespace flux { template <class T = int> requires(sizeof(T) > 1) struct s { T v{}; }; s(int) -> s<int>; }
fine       template <> struct std::hash<flux::x> { int operator()() const { return 0; } };
fine       namespace flux { template <class T> concept c = requires(T t) { t.x(); } && std::integral<T>; int f(); }
namespace  namespace util { int f(); }
unnamed    namespace flux { namespace { int f(); } }
using      namespace flux { using namespace std; }
fine       namespace flux { inline int f() { using namespace std; return 1; } }
static     namespace flux { static int f() { return 1; } }
static     namespace flux { template <class T> static int f() { return 1; } }
variable   namespace flux { int x = 3; }
variable   namespace flux { constexpr std::string_view x{"a"}; }
variable   namespace flux { int f() { return 1; } [[maybe_unused]] const int y = 1; }
"""
HEADER_STYLE = """
fine       #include <vector>
heavy      #include <regex>
library    #include <liburing.h>
part       #if FLUX_WITH_TLS
unfinished // TODO: later
print      inline void f() { std::printf("x"); }
fine       inline void f() { std::printf("x"); } // lint_headers: allow print: the reason
"""


class header_lint(unittest.TestCase):
    def each(self, job, table):
        root = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH.name))
        path = root / "flux/core/x.hpp"
        path.parent.mkdir(parents=True)
        for line in table.strip().split("\n"):
            rule, code = line.split(None, 1)
            with self.subTest(code=code):
                path.write_text(HEADER + code + "\n")
                done = subprocess.run([sys.executable, "-B", ROOT / "tools/lint_headers.py", job, root],
                                      capture_output=True, text=True)
                self.assertEqual(re.findall(r"^\S+ \[(\w+)\]", done.stderr, re.M), [] if rule == "fine" else [rule],
                                 done.stderr)

    def test_names(self):
        self.each("names", HEADER_CODE)

    def test_style(self):
        self.each("style", HEADER_STYLE)


if __name__ == "__main__":
    with SCRATCH:
        unittest.main()
