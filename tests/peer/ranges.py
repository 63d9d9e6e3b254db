#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same requests for ranges to static_server and to nginx, and their answers field by field.

    ranges.py FLUX_PORT NGINX_PORT ROOT

Writes files of several sizes below ROOT, then asks both for every range, of every file, by GET and HEAD, without and
with If-Range. Compared: status, Content-Range, Content-Length, Content-Type, Accept-Ranges, Last-Modified and the body,
parts included; of an error answer only status and Content-Range, and of ETag whether there is one: each server has its
own. Where the two are meant to differ stands in DIFFERENT, with the reason.
"""
import os
import re
import socket
import sys

FILES = {"empty.txt": 0, "one.txt": 1, "text.txt": 1000, "data.bin": 100_000}
RANGES = [
    None, "bytes=0-0", "bytes=0-9", "bytes=0-", "bytes=1-", "bytes=5-3", "bytes=999-", "bytes=1000-", "bytes=0-999",
    "bytes=0-1000", "bytes=990-2000", "bytes=-1", "bytes=-0", "bytes=-999", "bytes=-1000", "bytes=-1001", "bytes=-",
    "bytes=", "bytes", "bytes=a-b", "bytes=1-2x", "bytes=0x1-2", "bytes=1", "bytes=1-2-3", "bytes=--1", "bytes=+1-2",
    "Bytes=0-1", "BYTES=0-1", "byte=0-1", "lines=0-1", "bytes 0-1", "bytes=0-1;2-3", "bytes= 0 - 1 ", "bytes=0 -1",
    "bytes=0-0,2-2", "bytes=0-0, 2-2 ,4-4", "bytes=2-2,0-0", "bytes=0-9,5-14", "bytes=0-499,500-999", "bytes=0-500,500-999",
    "bytes=0-,0-0", "bytes=-1,0-0", "bytes=0-0,5000000-", "bytes=5000000-,0-0", "bytes=5000000-,6000000-", "bytes=0-0,",
    "bytes=,0-0", "bytes=,", "bytes=0-0,,1-1", "bytes=0-0,x", "bytes=5-3,0-0", "bytes=0-0,0-0,0-0",
    "bytes=00000000000000000000001-2", "bytes=0-9223372036854775807", "bytes=0-9223372036854775808",
    "bytes=9223372036854775807-", "bytes=9223372036854775808-", "bytes=-9223372036854775807", "bytes=-99999999999999999999",
    "bytes=" + ",".join("%d-%d" % (2 * i, 2 * i) for i in range(16)),
    "bytes=" + ",".join("%d-%d" % (2 * i, 2 * i) for i in range(17)),
    "bytes=" + ",".join("%d-%d" % (2 * i, 2 * i) for i in range(17)) + ",x",
    "bytes=0-99999,x", "bytes=0-,0-,x",
]
IF_RANGE = [None, "own etag", "own date", '"other"', "W/own etag", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT", "nonsense"]
IF_RANGE_WITH = ["bytes=0-9", "bytes=0-0,2-2", "bytes=5000000-", "bytes=x"]
COMPARED = ["content-range", "content-length", "content-type", "accept-ranges", "last-modified"]
# (file, range, If-Range) or a part of it: reason
DIFFERENT = {}
WHEN = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT


def ask(port, method, path, fields):
    lines = [f"{method} /{path} HTTP/1.1", "Host: a", "Connection: close"] + [f"{n}: {v}" for n, v in fields]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        octets = b""
        while piece := s.recv(1 << 20):
            octets += piece
    head, _, body = octets.partition(b"\r\n\r\n")
    status, *rest = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in rest}, body


def comparable(answer):
    status, fields, body = answer
    if status >= 400:
        return {"status": status, "content-range": fields.get("content-range")}
    out = {"status": status, "etag": "etag" in fields}
    for name in COMPARED:
        out[name] = fields.get(name)
    match = re.match(r"multipart/byteranges; boundary=([0-9a-f]+)$", out["content-type"] or "")
    if match:
        boundary = match.group(1)
        parts = body.count(boundary.encode()) if body else None
        if parts is not None:
            out["content-length"] = int(out["content-length"]) - len(boundary) * parts
        else:
            out["content-length"] = "of parts"  # boundaries have other lengths
        out["content-type"] = "multipart/byteranges"
        body = body.replace(boundary.encode(), b"BOUNDARY")
    out["body"] = body
    return out


def main():
    flux, nginx, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for name, size in FILES.items():
        path = os.path.join(root, name)
        with open(path, "wb") as f:
            f.write(bytes((i * 7 + i // 251) % 95 + 32 for i in range(size)))
        os.utime(path, (WHEN, WHEN))
    cases = [(name, r, None) for name in FILES for r in RANGES]
    cases += [(name, r, c) for name in FILES for r in IF_RANGE_WITH for c in IF_RANGE]
    wrong = 0
    for name, wanted, condition in cases:
        for method in ("GET", "HEAD"):
            answers = []
            for port in (flux, nginx):
                fields = [("Range", wanted)] if wanted is not None else []
                if condition is not None:
                    value = condition
                    if "own" in condition:
                        whole = ask(port, "HEAD", name, [])[1]
                        value = condition.replace("own etag", whole["etag"]).replace("own date", whole["last-modified"])
                    fields.append(("If-Range", value))
                answers.append(comparable(ask(port, method, name, fields)))
            if answers[0] != answers[1] and (wanted, condition) not in DIFFERENT:
                wrong += 1
                a, b = ({k: (v if k != "body" else f"{len(v)} octets {v[:200]!r}") for k, v in one.items()} for one in answers)
                print(f"{method} {name} Range: {wanted} If-Range: {condition}")
                for key in sorted(set(a) | set(b)):
                    if a.get(key) != b.get(key):
                        print(f"    {key}: flux {a.get(key)}, nginx {b.get(key)}")
    print(f"{2 * len(cases)} requests, {wrong} answers that differ")
    return 1 if wrong else 0


sys.exit(main())
