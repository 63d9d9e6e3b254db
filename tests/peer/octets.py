# SPDX-License-Identifier: MIT
"""Sends requests to hello in random pieces and compares every octet of the answers with a reference.

octets.py PORT REQUESTS [SEED]
"""
import random
import re
import socket
import sys

port, count = int(sys.argv[1]), int(sys.argv[2])
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
rng = random.Random(seed)


def answer(code, body, head_only=False, allow=None):
    reason = {200: "OK", 204: "No Content", 404: "Not Found", 405: "Method Not Allowed"}[code]
    head = f"HTTP/1.1 {code} {reason}\r\n"
    if allow:
        head += f"Allow: {allow}\r\n"
    if code != 204:
        head += "Content-Type: text/plain; charset=utf-8\r\n"
        head += f"Content-Length: {len(body)}\r\n"
    return (head + "\r\n" + ("" if head_only else body)).encode()


def one():
    kind = rng.randrange(6)
    extra = "".join(f"X-{i}: {'v' * rng.randrange(30)}\r\n" for i in range(rng.randrange(6)))
    # starts with a letter: "." and ".." are no names but steps, which a server answers with a redirect
    name = "n" + "".join(rng.choice("abcXYZ019-_.~") for _ in range(rng.randrange(20)))
    if kind == 0:
        return f"GET / HTTP/1.1\r\nHost: a\r\n{extra}\r\n", answer(200, "Hello, World!")
    if kind == 1:
        return f"GET /hello/{name} HTTP/1.1\r\nHost: a\r\n{extra}\r\n", answer(200, f"Hello, {name}!\n")
    if kind == 2:
        return f"HEAD /hello/{name} HTTP/1.1\r\nHost: a\r\n{extra}\r\n", answer(200, f"Hello, {name}!\n", True)
    if kind == 3:
        return f"GET /nothing/{name} HTTP/1.1\r\nHost: a\r\n{extra}\r\n", answer(404, "404 Not Found\n")
    if kind == 4:
        body = "b" * rng.randrange(200)
        return (f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}",
                answer(405, "405 Method Not Allowed\n", allow="GET, HEAD, OPTIONS"))
    chunks = "".join(f"{n:x}\r\n{'c' * n}\r\n" for n in (1 + rng.randrange(40) for _ in range(rng.randrange(4))))
    return (f"PUT /hello/{name} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{extra}\r\n{chunks}0\r\n\r\n",
            answer(405, "405 Method Not Allowed\n", allow="GET, HEAD, OPTIONS"))


def pieces(octets, style):
    if style == 0:
        return [octets]
    if style == 1:
        return [octets[i:i + 1] for i in range(len(octets))]
    out, at = [], 0
    while at < len(octets):
        n = 1 + int(rng.expovariate(1 / 60))
        out.append(octets[at:at + n])
        at += n
    return out


def canonical(octets):
    """Dates out, and the fields of each head in one order: the order of fields is not what is compared."""
    octets = re.sub(rb"Date: [^\r]*\r\n", b"", octets)
    out, at = [], 0
    while True:
        end = octets.find(b"\r\n\r\n", at)
        if end < 0:
            return b"".join(out) + octets[at:]
        lines = octets[at:end].split(b"\r\n")
        start = max((i for i, l in enumerate(lines) if b"HTTP/1.1 " in l), default=0)
        out.append(b"\r\n".join(lines[:start + 1] + sorted(lines[start + 1:])) + b"\r\n\r\n")
        at = end + 4


done = 0
while done < count:
    batch = [one() for _ in range(min(count - done, 1 + rng.randrange(200)))]
    sent = "".join(r for r, _ in batch).encode()
    expected = b"".join(a for _, a in batch)
    style = 1 if len(batch) < 4 else rng.choice((0, 2, 2))
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(20)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        for piece in pieces(sent, style):
            s.sendall(piece)
        s.shutdown(socket.SHUT_WR)
        while True:
            part = s.recv(1 << 16)
            if not part:
                break
            got += part
    if canonical(got) != canonical(expected):
        print(f"seed {seed}, after {done} requests: answers differ")
        print("sent:", sent[:2000])
        print("got:", canonical(got)[:4000])
        print("expected:", canonical(expected)[:4000])
        sys.exit(1)
    done += len(batch)
print(f"{done} requests, every answer as expected")
