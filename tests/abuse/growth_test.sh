#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: serial (it counts what a server does under load)
# 100 000 requests and 10 000 connections leave nothing behind.
. "$(dirname "$0")/../peer/server.sh"
need python3
ulimit -n "$(ulimit -Hn)"
start_server "$build/examples/inspect_server" 0
timeout 100 python3 "$source_dir/tests/abuse/abuse.py" growth "$port" "$pid" || fail "see above"
stop_server
same "exit status" 0 "$status"
