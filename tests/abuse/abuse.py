# SPDX-License-Identifier: MIT
# Clients that misbehave, each a bounded scenario against one server:  abuse.py SCENARIO PORT PID
# What is asserted are counts and memory; times are printed, and bounded with room for a busy machine.
import os
import random
import resource
import selectors
import signal
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
port, pid = 0, 0


def status(name):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(name))


def rss():
    # With a sanitizer, which reserves terabytes, memory is another matter: nothing grows then.
    return 0 if status("VmSize") > 1 << 40 else status("VmRSS")


def descriptors():
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(timeout=10):
    s = socket.create_connection((HOST, port), timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_answer(s):
    """One answer with Content-Length: (status, body)."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise EOFError("closed in the head of an answer")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    size = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length"))
    body = bytearray(body)
    while len(body) < size:
        more = s.recv(1 << 20)
        if not more:
            raise EOFError("closed in the body of an answer")
        body += more
    assert len(body) == size, "octets behind the answer"
    return int(head.split()[1]), body


def ask_once():
    start = time.monotonic()
    with connect() as s:
        s.sendall(GET)
        code, _ = read_answer(s)
    assert code == 200
    return time.monotonic() - start


def settle(what, good, seconds=10):
    end = time.monotonic() + seconds
    while not good() and time.monotonic() < end:
        time.sleep(0.05)
    assert good(), what


def resting_descriptors():
    """How many the server has when it is done with the clients before: the same number for a while, at most 10 s."""
    end, count, since = time.monotonic() + 10, descriptors(), time.monotonic()
    while time.monotonic() - since < 0.5 and time.monotonic() < end:
        time.sleep(0.02)
        if descriptors() != count:
            count, since = descriptors(), time.monotonic()
    return count


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def slow_heads():
    count = 2000
    for _ in range(50):
        ask_once()
    before, fds = rss(), resting_descriptors()
    selector = selectors.DefaultSelector()
    start = time.monotonic()
    for i in range(count):
        s = connect()
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ, [b""])
    settle("not all connections were accepted", lambda: descriptors() >= fds + count)
    each = (rss() - before) / count
    fresh = max(ask_once() for _ in range(20))
    answers, first, last, drip = {}, 0.0, 0.0, time.monotonic()
    while selector.get_map() and time.monotonic() - start < 30:
        for key, _ in selector.select(0.1):
            try:
                data = key.fileobj.recv(65536)
            except ConnectionResetError:
                data = b""
            if data:
                key.data[0] += data
                continue
            code = key.data[0].split(b" ", 2)[1] if key.data[0] else b"none"
            answers[code] = answers.get(code, 0) + 1
            last = time.monotonic() - start
            first = first or last
            selector.unregister(key.fileobj)
            key.fileobj.close()
        if time.monotonic() - drip > 0.5:  # an octet now and then must not help
            drip = time.monotonic()
            for key in list(selector.get_map().values())[::10]:
                try:
                    key.fileobj.send(b"x")
                except OSError:
                    pass
    print(f"{count} slow heads: {each:.0f} octets each, a fresh client waits at most {fresh * 1000:.1f} ms, "
          f"cut after {first:.2f} to {last:.2f} s, answers {answers}")
    assert answers == {b"408": count}, "not all were cut with 408"
    assert each < 8192, "too much memory for a slow head"
    assert fresh < 2 and last < 5 + 1 + 4, "too slow"
    settle("descriptors are left", lambda: descriptors() <= fds + 1)


def stalled_readers():
    count = 64
    ask_once()
    before, fds = rss(), resting_descriptors()
    held = []
    for _ in range(count):
        s = connect()
        s.sendall(b"GET /bytes/67108864 HTTP/1.1\r\nHost: a\r\n\r\n")
        held.append(s)
    time.sleep(1)
    fresh = max(ask_once() for _ in range(20))
    each = (rss() - before) / count
    print(f"{count} readers that stopped: {each / 1024:.1f} KiB each, a fresh client waits at most {fresh * 1000:.1f} ms")
    assert each < 256 * 1024, "a stalled reader costs too much"
    whole = held.pop()  # one that goes on gets it all
    code, body = read_answer(whole)
    assert code == 200 and len(body) == 67108864
    for s in held[::2]:
        s.close()
    for s in held[1::2]:
        reset(s)
    whole.close()
    settle("descriptors are left", lambda: descriptors() <= fds + 1)


def resets():
    rounds = 5000
    requests = [GET, b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /sleep/20 HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n" + GET * 3,
                b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", b"\x16\x03\x01" * 30]
    dice = random.Random(20)
    for _ in range(200):
        ask_once()
    settled = None
    for i in range(rounds):
        octets = dice.choice(requests)
        s = connect()
        try:
            s.sendall(octets[:dice.randrange(len(octets) + 1)])
            if dice.random() < 0.3:
                s.settimeout(0.001 * dice.random() + 0.0001)
                s.recv(dice.choice([1, 100, 10000]))
        except OSError:
            pass
        if dice.random() < 0.8:
            reset(s)
        else:
            s.close()
        if i == rounds // 2:
            settle("descriptors are left", lambda: descriptors() < 40)
            settled = (rss(), resting_descriptors())
    ask_once()
    settle("descriptors are left", lambda: descriptors() <= settled[1] + 1)
    print(f"{rounds} connections cut at random: {(rss() - settled[0]) / 1024:.0f} KiB more after the second half, "
          f"{descriptors()} descriptors")
    assert rss() - settled[0] < 2 << 20, "memory grows with connections that were cut"


def growth():
    batch = 200
    with connect() as s:
        s.sendall(GET)
        read_answer(s)
        s.sendall(GET)
        size = len(s.recv(65536))  # all answers have one length

    def requests(n):
        with connect() as s:
            for _ in range(n // batch):
                s.sendall(GET * batch)
                left = batch * size
                while left:
                    data = s.recv(1 << 20)
                    assert data, "closed"
                    left -= len(data)
                assert data.endswith(b"}"), "not the end of an answer"

    requests(100_000)  # until every page of the shared receive buffers has been used
    for _ in range(1_000):
        ask_once()
    settle("descriptors are left", lambda: descriptors() < 40)
    before, fds = rss(), resting_descriptors()
    requests(100_000)
    for _ in range(10_000):
        ask_once()
    settle("descriptors are left", lambda: descriptors() <= fds)
    print(f"100000 requests and 10000 connections: {(rss() - before) / 1024:.0f} KiB more, {descriptors()} descriptors")
    assert rss() - before < 256 << 10, "memory grows"


def drain():
    waiting = []
    for _ in range(40):
        s = connect()
        s.sendall(b"GET /sleep/1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting.append(s)
    idle = connect()
    idle.sendall(GET)
    read_answer(idle)
    half_head = connect()
    half_head.sendall(b"GET / HTTP/1.1\r\nHo")
    upload = connect()
    body = b"u" * (2 << 20)
    upload.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:1 << 20])
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    assert idle.recv(1) == b"", "an idle connection outlives the signal"
    try:
        connect().close()
        refused = False
    except ConnectionRefusedError:
        refused = True
    assert refused, "new connections are accepted while it drains"
    half_head.sendall(b"st: a\r\n\r\n")
    assert read_answer(half_head)[0] == 200, "a request whose head had begun is lost"
    upload.sendall(body[1 << 20:])
    code, answer = read_answer(upload)
    assert code == 200 and len(answer) > len(body), "a half-sent upload is lost"
    whole = sum(read_answer(s)[0] == 200 for s in waiting)
    ended = sum(s.recv(1) == b"" for s in waiting + [upload, half_head])
    print(f"{whole} of 40 requests in flight were answered, and one upload; {ended} connections closed after it")
    assert whole == 40 and ended == 42


def events():
    count = min(5000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    ask_once()
    before = rss()
    selector = selectors.DefaultSelector()
    for _ in range(count):
        s = connect()
        s.sendall(b"GET /time HTTP/1.1\r\nHost: a\r\n\r\n")
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ, [0, b""])  # events so far, and the end of what came

    def read(seconds, enough):
        end, ended, whole = time.monotonic() + seconds, 0, 0
        while selector.get_map() and time.monotonic() < end and not enough():
            for key, _ in selector.select(0.1):
                try:
                    data = key.fileobj.recv(65536)
                except ConnectionResetError:
                    data = b""
                key.data[0] += data.count(b"data: ")
                key.data[1] = (key.data[1] + data)[-5:]
                if not data:
                    ended += 1
                    whole += key.data[1] == b"0\r\n\r\n"
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
        return ended, whole

    fewest = lambda: min(key.data[0] for key in selector.get_map().values())
    start = time.monotonic()
    looked = [start]

    def three_each():
        if time.monotonic() - looked[0] < 0.2:
            return False
        looked[0] = time.monotonic()
        return fewest() >= 3
    assert read(60, three_each)[0] == 0, "a stream ended"
    took = time.monotonic() - start
    fresh = max(ask_once() for _ in range(20))
    each = (rss() - before) / count
    print(f"{count} streams of events: three each in {took:.1f} s, {each / 1024:.1f} KiB each, a fresh client waits at most "
          f"{fresh * 1000:.1f} ms")
    assert fewest() >= 3, "a stream starves"
    assert each < 16384, "too much memory for a stream"
    start = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    ended, whole = read(30, lambda: False)
    print(f"SIGTERM: {ended} streams ended, {whole} of them whole, in {time.monotonic() - start:.1f} s")
    assert ended == whole == count, "streams hold up the end, or break off"


if __name__ == "__main__":
    port, pid = int(sys.argv[2]), int(sys.argv[3])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    globals()[sys.argv[1]]()
