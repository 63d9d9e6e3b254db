#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One binary: io_uring, epoll by FLUX_DRIVER, and epoll by itself where the kernel refuses io_uring, said once.
# ctest: serial (it takes io_uring from the whole machine for a moment)
. "$(dirname "$0")/server.sh"
need curl
unset FLUX_DRIVER
start_server "$build/examples/hello" 0
same "by itself" "Hello, World!" "$(curl -s "http://127.0.0.1:$port/")"
stop_server
FLUX_DRIVER=epoll start_server "$build/examples/hello" 0
same "FLUX_DRIVER=epoll" "Hello, World!" "$(curl -s "http://127.0.0.1:$port/")"
same "a driver that was asked for is no news" 0 "$(grep -c io_uring "$work/err" || true)"
stop_server
status=0
FLUX_DRIVER=kqueue "$build/examples/hello" 0 2>"$work/err" || status=$?
same "an unknown driver" 1 "$status"
grep -q 'FLUX_DRIVER must be' "$work/err" || fail "no reason given: $(cat "$work/err")"

knob=/proc/sys/kernel/io_uring_disabled
if [ -w "$knob" ]; then
    before=$(cat "$knob")
    trap 'echo "$before" >"$knob"; cleanup' EXIT
    echo 2 >"$knob"
    start_server "$build/examples/hello" 0 --workers 2
    echo "$before" >"$knob"
    same "io_uring disabled" "Hello, World!" "$(curl -s "http://127.0.0.1:$port/")"
    same "said once" 1 "$(grep -c 'io_uring is not available' "$work/err")"
    stop_server
    same "exit status" 0 "$status"
else
    echo "kernel.io_uring_disabled is not writable: that part needs root"
fi
echo "drivers: as promised"
