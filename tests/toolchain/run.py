#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the compilers make of the programs here with expected.txt.

    tests/toolchain/run.py COMPILER...            fails on every difference, in either direction
    tests/toolchain/run.py --print COMPILER...    prints a table to be reviewed and committed

A form that breaks has to be avoided in flux; a form that works again may relax a rule.
"""
import concurrent.futures
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SANITIZE = ["-O2", "-g1", "-fsanitize=address,undefined"]
# name, flags, number of tasks: the build modes that matter for long chains of inline completions
CHAINS = [
    ("chain_O0_1000000", ["-O0"], 1000000),
    ("chain_O0_sibling_calls_1000000", ["-O0", "-foptimize-sibling-calls"], 1000000),
    ("chain_O2_1000000", ["-O2"], 1000000),
    ("chain_O2_sanitized_128", SANITIZE, 128),
    ("chain_O2_sanitized_1000000", SANITIZE, 1000000),
]
REJECTED = ["initializer_list_argument", "vector_from_list_argument", "awaited_in_list", "range_for_over_list",
            "statement_expression", "list_without_await"]


def version(compiler):
    """The column of a compiler: gcc-12, clang-14, ..."""
    macros = subprocess.run([compiler, "-dM", "-E", "-x", "c++", "/dev/null"], capture_output=True, text=True,
                            check=True).stdout
    clang = re.search(r"#define __clang_major__ (\d+)", macros)
    return f"clang-{clang.group(1)}" if clang else "gcc-" + re.search(r"#define __GNUC__ (\d+)", macros).group(1)


def build(compiler, source, flags, output):
    done = subprocess.run([compiler, "-std=c++20", "-w", *flags, HERE / source, "-o", output],
                          capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def limits():
    """For this process and its children: no core files, and the usual 8 MiB of stack that the chains are about."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = 8 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]
    if hard == resource.RLIM_INFINITY or hard >= soft:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def survives(program, *arguments):
    try:
        done = subprocess.run([program, *arguments], capture_output=True, timeout=60,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"})
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def observe(compiler, scratch):
    """Every form's outcome: ok, broken (at -O0 or -O2), or rejected."""
    found = {}
    for level in ("-O0", "-O2"):
        program = scratch / "forms"
        fine, errors = build(compiler, "forms.cpp", [level], program)
        if not fine:
            sys.exit(f"{compiler} does not compile forms.cpp:\n{errors}")
        for name in subprocess.run([program], capture_output=True, text=True, check=True).stdout.split():
            good = survives(program, name)
            found[name] = "ok" if good and found.get(name, "ok") == "ok" else "broken"
    for name in REJECTED:
        fine, _ = build(compiler, "rejected.cpp", [f"-DFORM_{name}", "-c", "-O0"], scratch / "rejected.o")
        found[name] = "ok" if fine else "rejected"
    built = {}
    for name, flags, count in CHAINS:
        key = " ".join(flags)
        if key not in built:
            built[key] = scratch / f"chain{len(built)}"
            fine, errors = build(compiler, "inline_completions.cpp", flags, built[key])
            if not fine:
                sys.exit(f"{compiler} {key} does not compile inline_completions.cpp:\n{errors}")
        found[name] = "ok" if survives(built[key], str(count)) else "broken"
    return found


def expected():
    rows = [line.split() for line in (HERE / "expected.txt").read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    columns = rows[0][1:]
    return {column: {row[0]: row[1 + i] for row in rows[1:]} for i, column in enumerate(columns)}


def main():
    arguments = sys.argv[1:]
    printing = arguments[:1] == ["--print"]
    compilers = arguments[1:] if printing else arguments
    limits()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        places = [pathlib.Path(scratch) / str(i) for i in range(len(compilers))]
        for place in places:
            place.mkdir()
        seen = dict(zip(map(version, compilers), pool.map(observe, compilers, places)))
    if printing:
        names = list(next(iter(seen.values())))
        print(f"{'form':36}" + "".join(f"{column:10}" for column in seen).rstrip())
        for name in names:
            print(f"{name:36}" + "".join(f"{seen[column][name]:10}" for column in seen).rstrip())
        return 0
    wanted, failures = expected(), 0
    for column, forms in seen.items():
        if column not in wanted:
            print(f"{column}: no column in expected.txt; add one (run.py --print) and read what changed")
            failures += 1
            continue
        for name in sorted(set(forms) | set(wanted[column])):
            have, want = forms.get(name, "absent"), wanted[column].get(name, "absent")
            if have != want:
                print(f"{column}: {name} is {have}; expected.txt says {want}")
                failures += 1
        print(f"{column}: {len(forms)} forms, {sum(f != 'ok' for f in forms.values())} to be avoided")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
