#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SIGINT to flux_get in every phase of a request: it ends at once, with class "cancelled" and status 1.

    flux_get_interrupt.py FLUX_GET
"""
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


class Peer:
    """Listens; each connection is led by `script`, which sets `reached` and then does nothing until the end."""

    def __init__(self, script, backlog=16):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self.reached = threading.Event()
        self.connections = []
        self.script = script
        if script:
            threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(s)
            threading.Thread(target=self.lead, args=(s, len(self.connections)), daemon=True).start()

    def lead(self, s, number):
        try:
            if self.script(s, number):
                self.reached.set()
        except OSError as e:
            print("peer:", e, file=sys.stderr)

    def close(self):
        for s in [self.listener, *self.connections]:
            s.close()


def head(s):
    octets = b""
    while b"\r\n\r\n" not in octets:
        piece = s.recv(65536)
        if not piece:
            raise OSError("the client went away")
        octets += piece
    return octets


def silent(s, _):
    return s.recv(65536) != b""


def after_head(s, _):
    return bool(head(s))


def half_a_body(s, _):
    head(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    return True


def redirect(s, _):
    if b"GET /second" in head(s):
        return True
    s.sendall(b"HTTP/1.1 302 Found\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n")
    return b"GET /second" in head(s)


def tunnel(s, _):
    assert head(s).startswith(b"CONNECT ")
    s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    return s.recv(65536) != b""


def drop(s, number):
    """Between the tries it sleeps longer and longer: a second from the sixth on."""
    head(s)
    s.close()
    return number == 7


def wait_for_syn(port):
    """Until this machine has a connection to the port that nobody answers."""
    there = ":%04X 02" % port  # SYN_SENT
    while True:
        with open("/proc/net/tcp", encoding="ascii") as f:
            if any(there in line for line in f):
                return
        time.sleep(0.01)


def interrupt(program, name, peer, arguments, reached):
    child = subprocess.Popen([program, "--json", "--timeout", "60"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        reached()
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, complaints = child.communicate(timeout=30)
    finally:
        child.kill()
        peer.close()
    took = time.monotonic() - start
    answer = json.loads(out.splitlines()[-1])
    good = child.returncode == 1 and not answer["ok"] and answer["error"]["class"] == "cancelled" and not complaints
    print(f"{'ok' if good else 'FAILED'}: {name}: {took * 1000:.0f} ms, {answer['error']['error_detail']}")
    if not good:
        print(f"status {child.returncode}, {out}{complaints}", file=sys.stderr)
    return good


def main():
    program = sys.argv[1]
    good = True
    with tempfile.NamedTemporaryFile() as large:
        large.truncate(1 << 26)
        here = "{scheme}://127.0.0.1:{port}/"
        for name, script, scheme, arguments in [
            ("TLS handshake", silent, "https", []),
            ("head of the response", after_head, "http", []),
            ("body of the response", half_a_body, "http", []),
            ("body of the request", after_head, "http", ["--data-file", large.name]),
            ("after a redirect", redirect, "http", []),
            ("between two tries", drop, "http", ["--retries", "1000"]),
        ]:
            peer = Peer(script)
            url = here.format(scheme=scheme, port=peer.port)
            good &= interrupt(program, name, peer, ["--url", url] + arguments, lambda p=peer: p.reached.wait(30))
        for name, script, proxy in [
            ("answer to CONNECT", after_head, "http"),
            ("TLS handshake in CONNECT", tunnel, "http"),
            ("answer of SOCKS 5", silent, "socks5"),
        ]:
            peer = Peer(script)
            proxy = f"{proxy}://127.0.0.1:{peer.port}"
            good &= interrupt(program, name, peer, ["--url", "https://localhost:1/", "--proxy", proxy], lambda p=peer: p.reached.wait(30))
    # Nobody accepts, and the one place in the queue is taken: connecting waits.
    peer = Peer(None, backlog=0)
    with socket.create_connection(("127.0.0.1", peer.port)):
        url = f"http://127.0.0.1:{peer.port}/"
        good &= interrupt(program, "connecting", peer, ["--url", url], lambda: wait_for_syn(peer.port))
    sys.exit(0 if good else 1)


main()
