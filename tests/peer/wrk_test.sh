#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# wrk sees no error: hello with one worker and with two, and pipelined; inspect_server and static_server; connections
# that are kept, and one for each request. FLUX_WRK_SECONDS is how long each run takes.
. "$(dirname "$0")/server.sh"
need wrk
cat >"$work/pipeline.lua" <<'LUA'
init = function(args)
  local r = {}
  for i = 1, 16 do r[i] = wrk.format("GET", "/hello/" .. i) end
  requests = table.concat(r)
end
request = function() return requests end
LUA
load() { # WHAT PATH OPTIONS...
    local what=$1 path=$2
    shift 2
    wrk -t1 -d"${FLUX_WRK_SECONDS:-1}" "$@" "http://127.0.0.1:$port$path" >"$work/wrk"
    grep -q 'requests in' "$work/wrk" || fail "wrk did not run: $(cat "$work/wrk")"
    ! grep -Eq 'Non-2xx|Socket errors' "$work/wrk" || fail "$what $path $*: $(cat "$work/wrk")"
    echo "$what $path $*: $(sed -n 's/^ *\([0-9]* requests in [^,]*\),.*/\1/p' "$work/wrk")"
}
stopped() {
    stop_server
    same "exit status" 0 "$status"
}
close="Connection: close"

for workers in 1 2; do
    start_server "$build/examples/hello" 0 --workers "$workers"
    load "hello, $workers workers," / -c64
    load "hello, $workers workers," / -c64 -H "$close"
    load "hello, $workers workers," / -c32 -s "$work/pipeline.lua"
    stopped
done
start_server "$build/examples/inspect_server" 0
load inspect_server '/a%20b?c' -c300
load inspect_server / -c64 -H "$close"
load inspect_server /bytes/200000 -c16
stopped
mkdir "$work/files"
head -c 1048576 /dev/zero >"$work/files/large.bin"
echo hello >"$work/files/index.html"
start_server "$build/examples/static_server" --root "$work/files" 0
load static_server / -c64
load static_server / -c64 -H "$close"
load static_server /large.bin -c16
stopped
