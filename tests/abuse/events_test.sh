#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: serial (it counts what a server does under load)
# 5000 clients of server-sent events: none starves, others are served, and SIGTERM ends every stream with a whole answer.
. "$(dirname "$0")/../peer/server.sh"
need python3
ulimit -n "$(ulimit -Hn)"
start_server "$build/examples/sse_clock" 0
timeout 110 python3 "$source_dir/tests/abuse/abuse.py" events "$port" "$pid" || fail "see above"
status=0
wait "$pid" || status=$?
same "exit status" 0 "$status"
