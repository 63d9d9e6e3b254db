#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: serial (it counts what a server does under load)
# 2000 clients that send their heads an octet at a time: others are served, all are cut, each costs little.
. "$(dirname "$0")/../peer/server.sh"
need python3
ulimit -n "$(ulimit -Hn)"
start_server "$build/examples/inspect_server" 0
timeout 100 python3 "$source_dir/tests/abuse/abuse.py" slow_heads "$port" "$pid" || fail "see above"
stop_server
same "exit status" 0 "$status"
