#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# flux's client, wrk and Go's http.Client, in turn, against one nginx: CPU time (user and system) per response.
#
#   bench/client.sh [ROUNDS [SECONDS [CONNECTIONS]]]      default 7 rounds of 2 s each, 64 connections
#
# nginx on CPU 0, the client on CPU 1, loopback, 13 octets of body over connections that are kept. flux runs once on
# each driver. Each round runs all of them, in another order; ratios are within one round, the table shows their
# medians. wrk is a loop over sockets that builds no request and no response object; the other two do.
. "$(dirname "$0")/lib.sh"
need nginx wrk go taskset g++ curl python3
g++ -std=c++20 -O2 -Isingle_include bench/client.cpp -luring -pthread -o "$work/flux"
GO111MODULE=off GOFLAGS="" GOCACHE="${GOCACHE:-$work/cache}" go build -o "$work/go" bench/client.go
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 4096; multi_accept on; use epoll; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  server { listen 127.0.0.1:9723 backlog=4096; location / { default_type text/plain; return 200 "Hello, World!"; } } }
CONF
taskset -c 0 nginx -c "$work/nginx.conf" &
pids+=($!)
for _ in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:9723/ && break; sleep 0.05; done
echo "$(nproc) CPUs, Linux $(uname -r), nginx $(nginx -v 2>&1 | sed 's/.*nginx.//'), $(wrk -v 2>&1 | sed -n '1s/ *\[.*//p'), $(go version | cut -d' ' -f3), $(g++ --version | head -1)"
python3 - "$work" "${1:-7}" "${2:-2}" "${3:-64}" <<'PY'
import os, re, statistics, subprocess, sys

work, rounds, seconds, connections = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
url = "http://127.0.0.1:9723/"
clients = {
    "flux, io_uring": ({"FLUX_DRIVER": "uring"}, [work + "/flux", url, connections, seconds]),
    "flux, epoll": ({"FLUX_DRIVER": "epoll"}, [work + "/flux", url, connections, seconds]),
    "wrk": ({}, ["wrk", "-t1", "-c" + connections, "-d" + seconds + "s", url]),
    "Go http.Client": ({}, [work + "/go", url, connections, seconds]),
}

def run(name):
    extra, command = clients[name]
    child = subprocess.Popen(["taskset", "-c", "1"] + command, env={**os.environ, **extra}, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    found = re.search(r"(\d+) (?:responses|requests in)", said)
    if status != 0 or not found or "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"{name}: {said}")
    n = int(found.group(1))
    return used.ru_utime * 1e9 / n, used.ru_stime * 1e9 / n, n / float(seconds)

table = {name: [] for name in clients}
names = list(clients)
for i in range(rounds):
    for name in names[i % len(names):] + names[:i % len(names)]:
        table[name].append(run(name))
cost = {name: [u + s for u, s, _ in rows] for name, rows in table.items()}
print(f"{'':16} {'CPU ns each':>12} {'user':>7} {'per second':>11} {'of wrk':>7} {'of Go':>6}   least and most of wrk")
for name, rows in table.items():
    to = lambda other: [a / b for a, b in zip(cost[name], cost[other])]
    print(f"{name:16} {statistics.median(cost[name]):12.0f} {statistics.median(r[0] for r in rows):7.0f} "
          f"{statistics.median(r[2] for r in rows):11.0f} {statistics.median(to('wrk')):7.2f} "
          f"{statistics.median(to('Go http.Client')):6.2f}   {min(to('wrk')):.2f} {max(to('wrk')):.2f}")
PY
