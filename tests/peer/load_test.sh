#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/load: what it counts is what it was told to do, and a stalled server shows in the latencies.
. "$(dirname "$0")/server.sh"
need python3 ss
start_server "$build/examples/hello" 0
url=http://127.0.0.1:$port/hello/you
member() { # EXPRESSION: of the report r; where it is False, the report goes to stderr
    python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
value = eval(sys.argv[2])
if value is False:
    print(r, file=sys.stderr)
print(value)' "$work/report" "$1"
}
load() { timeout 60 "$build/examples/load" --json "$@" >"$work/report" || fail "load $*: $(cat "$work/report")"; }
sound='r["not_2xx"] == r["failed_connects"] == r["failed_exchanges"] == 0 and r["latency_ms"]["50"] <= r["latency_ms"]["99"] <= r["latency_ms"]["max"]'

# until_busy ARGUMENT...: runs it for 0.1 s of its own CPU time, then stops it with Ctrl-C; how long that takes, and what
# else runs on the machine, changes nothing. The report is about the time until then, and a stop is no failure.
until_busy() {
    local loader stat
    "$build/examples/load" --json --duration 100 "$@" >"$work/report" 2>"$work/said" &
    loader=$!
    pids+=("$loader")
    for _ in $(seq 2000); do
        read -r -a stat <"/proc/$loader/stat"
        [ $((stat[13] + stat[14])) -gt 10 ] && break
        sleep 0.02
    done
    kill -INT "$loader"
    status=0
    wait "$loader" || status=$?
}
for shape in "--connections 8" "--connections 3 --pipeline 7"; do
    # shellcheck disable=SC2086
    until_busy $shape "$url"
    same "as fast as it goes, $shape" "0 True" "$status $(member "$sound and r['requests'] > 100 and r['seconds'] < 100")"
done
load --duration 1 --connections 10 --rate 200 "$url"
same "at a rate" True "$(member "$sound and 150 <= r['requests'] <= 200 == r['requests'] + r['unanswered']")"
until_busy --connections 2 "http://127.0.0.1:$port/nothing"
same "404" "0 True" "$status $(member "r['not_2xx'] == r['requests'] > 0")"

# The server stands still for half of the time: requests that were due then are late, not left out. The first one was due
# when the connection was made, before the two seconds began; 75 are more than half a second late, of at most 200.
kill -STOP "$pid"
load --duration 4 --connections 4 --rate 50 "$url" &
loading=$!
connected=""
for _ in $(seq 500); do
    connected=$(ss -Htn state established "dport = :$port")
    [ -z "$connected" ] || break
    sleep 0.01
done
sleep 2
kill -CONT "$pid"
wait "$loading"
[ -n "$connected" ] || fail "load does not connect"
same "a stall is charged to the server" True "$(member "r['requests'] >= 150 and r['latency_ms']['max'] >= 2000 and r['latency_ms']['75'] > 500")"
# It stands still to the end: nothing is answered, and all of it shows.
kill -STOP "$pid"
status=0
timeout 60 "$build/examples/load" --json --duration 0.5 --connections 4 --rate 100 "$url" >"$work/report" || status=$?
kill -CONT "$pid"
same "nothing but a stall" "1 0 50" "$status $(member "r['requests']") $(member "r['unanswered']")"
stop_server
if timeout 60 "$build/examples/load" --duration 0.2 "$url" >"$work/report" 2>"$work/said"; then fail "success without a server"; fi
grep -q "the first failure: connect 127.0.0.1:$port: Connection refused" "$work/said" || fail "it does not say why: $(cat "$work/said")"
echo "load: counts, rates and latencies"
