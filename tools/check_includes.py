#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every tests/**/*_test.cpp alone (-fsyntax-only): bundled with its neighbours it would find what they include.

What many files reach, as the preprocessor says, is precompiled for those that reach all of it, so that it never gives a
file what it does not include; but it comes first, so that a wrong order of includes is not seen here. Bodies of
templates are not instantiated: the stages of tools/test do that.

    tools/check_includes.py [file...]
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = [os.environ.get("CXX", "g++"), "-std=c++20", "-Winvalid-pch", "-Werror", "-DFLUX_CHECKED=1", "-DFLUX_WITH_TESTING=1",
         "-DFLUX_WITH_TLS=1", "-DFLUX_WITH_ZLIB=1", f"-I{ROOT}/include", f"-I{ROOT}/tests"]


def run(*arguments):
    return subprocess.run([*FLAGS, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def reached(source):
    """Path -> how to include it, of all headers of this project and the standard library's that it gets."""
    done = run("-M", source)
    if done.returncode != 0:
        return None
    headers = {}
    for path in re.findall(r"[^\s\\:]+", done.stdout):
        real = os.path.realpath(path)
        if real.startswith((f"{ROOT}/include/", f"{ROOT}/tests/support/")):
            headers[real] = f'"{real}"'
        elif m := re.search(r"/c[+][+]/\d+/([a-z_]+)$", real):
            headers[real] = f"<{m.group(1)}>"
    return headers


def to_precompile(sets):
    """Sets of headers such that few precompiled ones spare most of the parsing; what a header takes goes by its size."""
    size = {path: os.path.getsize(path) for path in set().union(*sets)}
    common = {frozenset.intersection(*(one for one in sets if path in one)) for path in size}
    weight = {headers: sum(size[path] for path in headers) for headers in common}
    users = {headers: [i for i, one in enumerate(sets) if headers <= one] for headers in common}
    spared = [0] * len(sets)
    chosen = []
    while common:
        # To write one takes several times as long as to parse it.
        gain, best = max(((sum(max(0, weight[h] - spared[i]) for i in users[h]) - 5 * weight[h], sorted(h)) for h in common))
        if gain <= 0:
            break
        best = frozenset(best)
        chosen.append(best)
        common.remove(best)
        for i in users[best]:
            spared[i] = max(spared[i], weight[best])
    return sorted(chosen, key=weight.get, reverse=True)


def precompile(header, includes):
    header.write_text("".join(f"#include {include}\n" for include in sorted(includes)))
    done = run("-x", "c++-header", header, "-o", f"{header}.gch")
    return done.stderr if done.returncode != 0 else ""


def check(source, header):
    """Without a reached set, too: then this says what is missing."""
    done = run("-fsyntax-only", "-fmax-errors=5", *(["-include", header] if header else []), source)
    return f"{source} alone:\n{done.stderr}" if done.returncode != 0 else ""


def main(arguments):
    sources = [pathlib.Path(name).resolve() for name in arguments] or sorted((ROOT / "tests").rglob("*_test.cpp"))
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(reached, sources))
        include = {path: how for headers in found if headers for path, how in headers.items()}
        chosen = to_precompile([frozenset(headers) for headers in found if headers])
        names = [pathlib.Path(scratch, f"common_{i}.hpp") for i in range(len(chosen))]
        for errors in pool.map(lambda name, one: precompile(name, [include[path] for path in one]), names, chosen):
            if errors:
                sys.exit(f"what files have in common does not compile:\n{errors}")

        def header_of(headers):
            return next((name for name, one in zip(names, chosen) if headers and one <= headers.keys()), None)
        failures = [text for text in pool.map(check, sources, map(header_of, found)) if text]
    for text in failures:
        print(text, file=sys.stderr)
    print(f"{len(sources)} files, {len(chosen)} precompiled headers")
    return 1 if failures or not sources else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
