# SPDX-License-Identifier: MIT
# Sourced by the scripts beside it: starts example servers on free ports, stops them by process id, checks.
set -euo pipefail
build=${FLUX_BUILD_DIR:?set by ctest}
source_dir=${FLUX_SOURCE_DIR:?set by ctest}
work=$(mktemp -d)
pids=()
cleanup() {
    for p in "${pids[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

need() { # TOOL...: skips the test where one is missing
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$tool is missing: skipped"; exit 77; }
    done
}
fail() { echo "FAILED: $*" >&2; exit 1; }
same() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || fail "$1: expected [$2], got [$3]"
}
# start_server PROGRAM ARGS...: sets pid, address and port from what the server says about where it listens.
start_server() {
    : >"$work/err"
    "$@" >"$work/out" 2>"$work/err" &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 200); do
        address=$(sed -n 's/^flux: listening on //p' "$work/err" | head -1)
        [ -n "$address" ] && { port=${address##*:}; return; }
        kill -0 "$pid" 2>/dev/null || { cat "$work/err" >&2; fail "the server ended at once"; }
        sleep 0.02
    done
    fail "the server does not say where it listens"
}
# stop_server: SIGTERM; sets status.
stop_server() {
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
}
