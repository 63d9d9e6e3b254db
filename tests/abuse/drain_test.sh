#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: serial (it counts what a server does under load)
# SIGTERM with 40 requests in flight and a half-sent upload: all are answered whole, exit status 0. A second one ends at once.
. "$(dirname "$0")/../peer/server.sh"
need python3
ulimit -n "$(ulimit -Hn)"
start_server "$build/examples/inspect_server" 0
timeout 100 python3 "$source_dir/tests/abuse/abuse.py" drain "$port" "$pid" || fail "see above"
status=0
wait "$pid" || status=$?
same "exit status" 0 "$status"

start_server "$build/examples/inspect_server" 0
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n' >&3
sleep 0.2
kill -TERM "$pid"
sleep 0.2
kill -0 "$pid" || fail "it did not wait for the request in flight"
stop_server
same "exit status after the second signal" 143 "$status"
