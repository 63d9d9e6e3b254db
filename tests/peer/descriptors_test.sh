#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Out of descriptors: existing connections are served, the CPU rests, and accepting recovers when some are free.
. "$(dirname "$0")/server.sh"
need python3
: >"$work/err"
(ulimit -n 64 && exec "$build/examples/hello" 0) >"$work/out" 2>"$work/err" &
pid=$!
pids+=("$pid")
for _ in $(seq 200); do
    port=$(sed -n 's/^flux: listening on .*://p' "$work/err")
    [ -n "$port" ] && break
    sleep 0.02
done
python3 - "$port" "$pid" <<'PY' || fail "see above"
import os, socket, sys, time
port, pid = int(sys.argv[1]), sys.argv[2]
request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

def ask(s):
    s.sendall(request)
    return s.recv(4096).startswith(b"HTTP/1.1 200")

def cpu():
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

held = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]  # the backlog takes what is not accepted
for s in held:
    s.settimeout(1)
served = []
for s in held:
    try:
        if ask(s):
            served.append(s)
    except socket.timeout:
        break
waiting = [s for s in held if s not in served]
print(len(served), "connections served,", len(waiting), "wait in the backlog")
assert 20 < len(served) < 64 and waiting, "the limit was not reached as expected"
before, start = cpu(), time.monotonic()
while time.monotonic() - start < 2:
    for s in served[:5]:
        s.settimeout(10)
        assert ask(s), "an existing connection is not served"
    time.sleep(0.1)
share = (cpu() - before) / (time.monotonic() - start)
print(f"CPU while out of descriptors: {share:.1%}")
assert share < 0.05, "the server spins"
for s in served[:40]:
    s.close()
# waiting[0] was asked before: its answer comes once it is accepted
waiting[0].settimeout(10)
assert waiting[0].recv(4096).startswith(b"HTTP/1.1 200"), "accepting did not recover"
print("recovered")
PY
stop_server
same "exit status" 0 "$status"
