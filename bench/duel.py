#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPU time that servers spend on one large answer, in turn, so that slow phases of the machine hit all alike.

    bench/duel.py PATH OCTETS REQUESTS SLICES NAME:PORT:PID...

Each slice asks one server REQUESTS times for PATH, whose body has OCTETS octets, over a new connection (some get into a
state of congestion control that costs several times as much and lasts), and reads the CPU time of the process before and
after. Prints for each server the median, the smallest, and the median of the
ratios to the last server's slice beside it.
"""
import socket
import statistics
import sys

from cpu_time import cpu_ns


class Server:
    def __init__(self, text, path, octets):
        self.name, port, self.pid = text.split(":")
        self.address = ("127.0.0.1", int(port))
        self.request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        self.octets = octets
        self.room = bytearray(1 << 20)
        self.micros = []

    def get(self):
        self.socket.sendall(self.request)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.socket.recv(4096)
            if not piece:
                sys.exit(f"{self.name}: closed the connection")
            got += piece
        if not got.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{self.name}: {got[:60]}")
        left = self.octets - (len(got) - got.index(b"\r\n\r\n") - 4)
        while left > 0:
            n = self.socket.recv_into(self.room, min(left, len(self.room)))
            if n == 0:
                sys.exit(f"{self.name}: cut off")
            left -= n

    def slice(self, requests):
        self.socket = socket.create_connection(self.address)
        self.get()
        before = cpu_ns(self.pid)
        for _ in range(requests):
            self.get()
        self.micros.append((cpu_ns(self.pid) - before) / 1000 / requests)
        self.socket.close()


def main():
    path, octets, requests, slices = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    servers = [Server(text, path, octets) for text in sys.argv[5:]]
    for s in servers:
        s.slice(5)  # warm
        s.micros.clear()
    for i in range(slices):
        for s in servers if i % 2 == 0 else reversed(servers):
            s.slice(requests)
    for s in servers:
        paired = statistics.median(a / b for a, b in zip(s.micros, servers[-1].micros))
        print(f"{s.name:8} {statistics.median(s.micros):8.1f} us median {min(s.micros):8.1f} us least   x {paired:.3f}")


main()
