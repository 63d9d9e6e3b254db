#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# flux's hello, nginx and the floor program side by side, in one interleaved run on this machine.
#
#   bench/http.sh [SECONDS] [HELLO]      SECONDS per row (default 6); HELLO another binary to measure (default: built)
#
# Servers on CPU 0, load on CPU 1, all loopback. The floor's "duel" alternates slices of some milliseconds between
# the servers and reports medians of per-round ratios: slow phases of the machine hit all alike. CPU time per request
# first, requests per second second. A second binary in FLUX_BASE joins as another column (a build to compare with).
# Prints one table; ends by itself.
. "$(dirname "$0")/lib.sh"
seconds=${1:-6}
need nginx wrk taskset g++ curl
ulimit -n 20000

hello=${2:-$work/hello}
[ -x "$hello" ] || g++ -std=c++20 -O2 -Isingle_include examples/hello.cpp -luring -pthread -o "$hello"
g++ -std=c++20 -O2 -w -fno-exceptions bench/floor/floor.cpp -o "$work/floor"
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 19000; multi_accept on; use epoll; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  server { listen 127.0.0.1:9703 backlog=4096; location / { default_type text/plain; return 200 "Hello, World!"; } } }
CONF

realtime="chrt -f 10"
$realtime true 2>/dev/null || realtime=""
start() { # CPU COMMAND...
    local cpu=$1
    shift
    $realtime taskset -c "$cpu" "$@" >/dev/null 2>&1 &
    pids+=($!)
}
ready() { for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$1/" && return; sleep 0.05; done; echo "port $1 is not ready"; exit 1; }

start 0 "$work/floor" serve port=9701
floor=${pids[-1]}
start 0 "$hello" 9702
flux=${pids[-1]}
start 0 nginx -c "$work/nginx.conf"
ready 9701; ready 9702; ready 9703
nginx=$(pgrep -P "${pids[-1]}" | head -1)
servers=9701:$floor,9703:$nginx,9702:$flux
names=(floor nginx flux)
ports=(9701 9703 9702)
if [ -n "${FLUX_BASE:-}" ]; then
    start 0 "$FLUX_BASE" 9704
    servers=$servers,9704:${pids[-1]}
    names+=(base)
    ports+=(9704)
    ready 9704
fi

row() { # LABEL CONNECTIONS PIPELINE
    $realtime taskset -c 1 "$work/floor" duel servers="$servers" conns="$2" pipe="$3" slice=12 time="$seconds" |
        awk -v label="$1" -v names="${names[*]}" '
            BEGIN { split(names, name) }
            { for (i = 1; i <= NF; i++) { split($i, kv, "="); v[NR, kv[1]] = kv[2] } }
            END {
                for (r = 1; r <= NR; r++) printf "%-22s %-6s %8.0f ns/req  p10 %6.0f  %9.0f req/s  cpu/floor %5.2f  cpu/nginx %5.2f  rps/nginx %5.2f\n",
                    label, name[r], v[r, "ns_med"], v[r, "ns_p10"], v[r, "rps_med"], v[r, "ratio_ns"],
                    v[r, "ratio_ns"] / v[2, "ratio_ns"], v[r, "ratio_rps"] / v[2, "ratio_rps"]
            }'
}
echo "machine: $(nproc) CPUs, Linux $(uname -r), nginx $(nginx -v 2>&1 | sed 's/.*nginx.//'), $(g++ --version | head -1)"
row "1 connection" 1 1
row "64 connections" 64 1
row "512 connections" 512 1
row "64 x 16 pipelined" 64 16

# Latency, wrk, three interleaved rounds, 64 connections; wrk itself is the limit of requests per second.
for round in 1 2 3; do
    for i in "${!names[@]}"; do
        taskset -c 1 wrk -t1 -c64 -d"$((seconds / 3 + 1))" --latency "http://127.0.0.1:${ports[$i]}/" |
            awk -v n="${names[$i]}" -v r="$round" '/50%/ { p50 = $2 } /99%/ { p99 = $2 } /Requests\/sec/ { q = $2 } /Non-2xx|Socket errors/ { bad = bad " " $0 }
                END { printf "wrk -c64 round %s       %-6s p50 %-9s p99 %-9s %9.0f req/s%s\n", r, n, p50, p99, q, bad }'
    done
done

# Idle keep-alive connections: resident memory each, after a warm-up that touches the shared buffers.
taskset -c 1 "$work/floor" client port=9702 conns=64 time=1 >/dev/null 2>&1 || true
before=$(awk '/VmRSS/ { print $2 }' "/proc/$flux/status")
taskset -c 1 "$work/floor" hold port=9702 conns=10000 >"$work/hold" 2>&1 &
pids+=($!)
for _ in $(seq 300); do grep -qs holding "$work/hold" && break; sleep 0.1; done
after=$(awk '/VmRSS/ { print $2 }' "/proc/$flux/status")
awk -v b="$before" -v a="$after" 'BEGIN { printf "10000 idle keep-alive   flux   %.0f octets of RSS each (%d KiB before, %d after)\n", (a - b) * 1024 / 10000, b, a }'
