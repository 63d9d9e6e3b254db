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
        self.refused(r"flux/core/lost.hpp: not reachable", flux__core__lost="#pragma once\n")

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


if __name__ == "__main__":
    with SCRATCH:
        unittest.main()
