#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A server takes the place of another one on an inherited socket, under load: no request is lost.
. "$(dirname "$0")/server.sh"
need python3
timeout 60 python3 - "$build/examples/hello" <<'PY' || fail "see above"
import os, signal, socket, subprocess, sys, threading, time

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(512)
port = listener.getsockname()[1]

def start(workers):
    def hand_on():
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.execvp(sys.argv[1], [sys.argv[1], str(port), "--workers", str(workers)])
    pid = os.fork()
    if pid == 0:
        try:
            os.environ["LISTEN_FDS"] = "1"
            hand_on()
        finally:
            os._exit(99)
    return pid

def exited(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

done, answered, lost = threading.Event(), [0] * 4, []
def load(i):
    while not done.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                octets = s.recv(4096)
            assert octets.startswith(b"HTTP/1.1 200"), octets
            answered[i] += 1
        except Exception as e:
            lost.append(repr(e))

threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
pid = start(1)
for t in threads:
    t.start()
time.sleep(0.3)
for generation in range(4):
    successor = start(1 + generation % 2)
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    assert exited(pid) == 0, "exit status"
    pid = successor
time.sleep(0.2)
done.set()
for t in threads:
    t.join()
os.kill(pid, signal.SIGTERM)
assert exited(pid) == 0, "exit status"
print(sum(answered), "connections answered over 4 restarts,", len(lost), "lost", lost[:3])
assert not lost and min(answered) > 50
PY
