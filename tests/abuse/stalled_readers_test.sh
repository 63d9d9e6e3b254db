#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: serial (it counts what a server does under load)
# 64 clients that do not read a body of 64 MiB: each costs a bounded buffer, and one that goes on gets it whole.
. "$(dirname "$0")/../peer/server.sh"
need python3
ulimit -n "$(ulimit -Hn)"
start_server "$build/examples/inspect_server" 0
timeout 100 python3 "$source_dir/tests/abuse/abuse.py" stalled_readers "$port" "$pid" || fail "see above"
stop_server
same "exit status" 0 "$status"
