#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPU time that TLS servers spend, in turn, so that slow phases of the machine hit all alike.

    bench/tls.py handshakes full|resumed COUNT SLICES CA NAME:PORT:PID...   connect, handshake, close_notify both ways
    bench/tls.py gets CONNECTIONS SECONDS SLICES CA NAME:PORT:PID...        keep-alive GETs of / by wrk
    bench/tls.py bodies PATH OCTETS COUNT SLICES CA NAME:PORT:PID...        large answers on one new connection per slice
    bench/tls.py hold COUNT PORT CA                                         COUNT idle connections, until stdin ends

Prints for each server the median of the time per operation, the least, and the median of the ratios to the last server's
slice beside it. Every handshake is checked: TLS 1.3, AES-128-GCM, and whether it was resumed. A server whose processes are
several (nginx: the worker does the work) is named by the one that works.
"""
import re
import socket
import ssl
import statistics
import subprocess
import sys

from cpu_time import cpu_ns


def context(ca):
    c = ssl.create_default_context(cafile=ca)
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    return c


class Server:
    def __init__(self, text, ctx):
        self.name, port, self.pid = text.split(":")
        self.port = int(port)
        self.ctx = ctx
        self.session = None
        self.micros = []

    def connect(self, session=None):
        raw = socket.create_connection(("127.0.0.1", self.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s = self.ctx.wrap_socket(raw, server_hostname="localhost", session=session)
        if s.version() != "TLSv1.3" or s.cipher()[0] != "TLS_AES_128_GCM_SHA256" or s.session_reused != (session is not None):
            sys.exit(f"{self.name}: {s.version()} {s.cipher()} resumed: {s.session_reused}")
        return s

    def end(self, s):
        """close_notify and then the peer's, so that the server has done its part when this returns."""
        try:
            s.unwrap()
        except OSError:
            pass
        s.close()

    def get(self, s, path="/", octets=None):
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            piece = s.recv(65536)
            if not piece:
                sys.exit(f"{self.name}: closed the connection")
            got += piece
        if not got.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{self.name}: {got[:60]}")
        size = int(re.search(rb"(?i)content-length: *(\d+)", got).group(1))
        if octets is not None and size != octets:
            sys.exit(f"{self.name}: {size} octets")
        left = size - (len(got) - got.index(b"\r\n\r\n") - 4)
        while left > 0:
            n = s.recv_into(ROOM, min(left, len(ROOM)))
            if n == 0:
                sys.exit(f"{self.name}: cut off")
            left -= n

    def measured(self, work, count):
        before = cpu_ns(self.pid)
        work()
        self.micros.append((cpu_ns(self.pid) - before) / 1000 / count)

    def handshakes(self, resumed, count):
        if resumed:
            s = self.connect()
            self.get(s)
            self.session = s.session  # tickets come with the first octets that are read
            self.end(s)

        def work():
            for _ in range(count):
                self.end(self.connect(self.session))
        self.measured(work, count)

    def bodies(self, path, octets, count):
        s = self.connect()
        self.get(s, path, octets)
        self.measured(lambda: [self.get(s, path, octets) for _ in range(count)], count)
        self.end(s)

    def gets(self, connections, seconds):
        before = cpu_ns(self.pid)
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", f"https://127.0.0.1:{self.port}/"],
                             capture_output=True, text=True, check=True).stdout
        spent = cpu_ns(self.pid) - before
        if "Socket errors" in out or "Non-2xx" in out:
            sys.exit(f"{self.name}: {out}")
        self.micros.append(spent / 1000 / int(re.search(r"(\d+) requests in", out).group(1)))


ROOM = bytearray(1 << 20)


def duel(servers, slices, slice_of):
    for i in range(slices + 1):
        for s in servers if i % 2 == 0 else reversed(servers):
            slice_of(s)
        if i == 0:  # warm now
            for s in servers:
                s.micros.clear()
    for s in servers:
        paired = statistics.median(a / b for a, b in zip(s.micros, servers[-1].micros))
        print(f"  {s.name:10} {statistics.median(s.micros):9.2f} us median {min(s.micros):9.2f} us least   x {paired:.3f}", flush=True)


def main():
    mode, args = sys.argv[1], sys.argv[2:]
    if mode == "hold":
        server = Server(f"hold:{args[1]}:0", context(args[2]))
        held = []
        for _ in range(int(args[0])):
            s = server.connect()
            server.get(s)
            held.append(s)
        print("holding", flush=True)
        sys.stdin.read()
        return
    if mode == "handshakes":
        kind, count, slices, ca, names = args[0], int(args[1]), int(args[2]), args[3], args[4:]
        def one(s): s.handshakes(kind == "resumed", count)
    elif mode == "gets":
        connections, seconds, slices, ca, names = int(args[0]), int(args[1]), int(args[2]), args[3], args[4:]
        def one(s): s.gets(connections, seconds)
    else:
        path, octets, count, slices, ca, names = args[0], int(args[1]), int(args[2]), int(args[3]), args[4], args[5:]
        def one(s): s.bodies(path, octets, count)
    ctx = context(ca)
    duel([Server(n, ctx) for n in names], slices, one)


main()
