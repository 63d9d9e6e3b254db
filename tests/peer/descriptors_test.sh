#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Out of descriptors: existing connections are served, new ones refused, the CPU rests, and accepting recovers when some
# are free.
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

def refused(s):
    """Whether the server said 503 or reset the connection. Waits for that."""
    s.settimeout(20)
    try:
        got = s.recv(4096)
    except ConnectionResetError:
        return True
    return got.startswith(b"HTTP/1.1 503")

def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s

held = [connect() for _ in range(100)]  # the backlog takes what is not accepted
served = []
for s in held:
    try:
        if not ask(s):
            break
    except (ConnectionResetError, BrokenPipeError):
        break
    served.append(s)
waiting = held[len(served) + 1:]
print(len(served), "connections served")
assert 20 < len(served) < 64 and waiting, "the limit was not reached as expected"
assert all(refused(s) for s in waiting), "a connection for which there is no descriptor is not refused"
print(len(waiting), "connections refused")
before, start = cpu(), time.monotonic()
flood = []
while time.monotonic() - start < 2:
    flood += [connect() for _ in range(20)]
    for s in served[:5]:
        assert ask(s), "an existing connection is not served"
    time.sleep(0.1)
share = (cpu() - before) / (time.monotonic() - start)
print(f"CPU while out of descriptors: {share:.1%}, with {len(flood)} new connections")
assert all(refused(s) for s in flood), "a connection of the flood is not refused"
assert share < 0.05, "the server spins"
for s in served[:40]:
    s.close()
for attempt in range(20):  # the server sees the ends of those a moment later
    late = connect()
    try:
        if ask(late):
            break
    except (ConnectionResetError, BrokenPipeError):
        pass
else:
    raise SystemExit("accepting did not recover")
assert ask(served[-1]), "an existing connection is not served"
print("recovered")
PY
stop_server
same "exit status" 0 "$status"
