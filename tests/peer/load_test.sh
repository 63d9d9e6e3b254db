#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/load: what it counts is what it was told to do, and a stalled server shows in the latencies.
. "$(dirname "$0")/server.sh"
need python3
start_server "$build/examples/hello" 0
url=http://127.0.0.1:$port/hello/you
member() { python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/report" "$1"; }
load() { timeout 60 "$build/examples/load" --json "$@" >"$work/report" || fail "load $*: $(cat "$work/report")"; }
sound='r["not_2xx"] == r["failed_connects"] == r["failed_exchanges"] == 0 and r["latency_ms"]["50"] <= r["latency_ms"]["99"] <= r["latency_ms"]["max"]'

load --duration 0.5 --connections 8 "$url"
same "as fast as it goes" True "$(member "$sound and r['requests'] > 100")"
load --duration 0.5 --connections 3 --pipeline 7 "$url"
same "pipelined" True "$(member "$sound and r['requests'] > 100")"
load --duration 1 --connections 10 --rate 200 "$url"
same "at a rate" True "$(member "$sound and 150 <= r['requests'] <= 200")"
load --duration 0.5 --connections 2 "http://127.0.0.1:$port/nothing"
same "404" True "$(member "r['not_2xx'] == r['requests'] > 0")"

# The server stands still for half of the time: requests that were due then are late, not left out.
kill -STOP "$pid"
{ sleep 1; kill -CONT "$pid"; } &
load --duration 2 --connections 4 --rate 100 "$url"
wait $!
same "a stall is charged to the server" True "$(member "r['requests'] >= 150 and r['latency_ms']['max'] > 500 and r['latency_ms']['75'] > 100")"
stop_server
if timeout 60 "$build/examples/load" --duration 0.2 "$url" >"$work/report"; then fail "success without a server"; fi
echo "load: counts, rates and latencies"
