#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# expect_abort.sh SOURCE PROGRAM: runs PROGRAM, which must die by SIGABRT and say on stderr what the first line of
# SOURCE promises: // expect: <extended regex>. What begins with "flux: misuse" must be the only line.
set -u
pattern=$(sed -n '1s/^\/\/ expect: //p' "$1")
if [ -z "$pattern" ]; then
    echo "$1:1: the first line must be '// expect: <extended regex>'" >&2
    exit 1
fi
ulimit -c 0
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# In a subshell of its own, or this shell would print its own line about the abort.
(exec "$2") 2>"$errors" >/dev/null
status=$?
cat "$errors" >&2
if [ "$status" -ne 134 ]; then
    echo "$2: exit status $status; expected 134 (SIGABRT)" >&2
    exit 1
fi
if ! grep -Eq -- "$pattern" "$errors"; then
    echo "$2: nothing on stderr matches '$pattern'" >&2
    exit 1
fi
if [[ $pattern == "flux: misuse"* ]] && [ "$(wc -l <"$errors")" -ne 1 ]; then
    echo "$2: more than one line on stderr" >&2
    exit 1
fi
