# SPDX-License-Identifier: MIT
"""Every case of cases/ through the program flux_get, over sockets. README.md describes the cases.

flux_get.py PROGRAM [PART OF A NAME]
"""
import base64
import concurrent.futures
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading

program = sys.argv[1]
wanted = sys.argv[2] if len(sys.argv) > 2 else ""
here = pathlib.Path(__file__).parent
scratch = tempfile.TemporaryDirectory()


def octets(text):
    out = bytearray()
    i = 0
    while i < len(text):
        c = text[i]
        i += 1
        if c != "\\":
            out += c.encode("latin-1")
            continue
        c = text[i]
        i += 1
        if c in 'rnt0\\"':
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'\\"'}[c]
        elif c == "x":
            out.append(int(text[i:i + 2], 16))
            i += 2
        elif c == "*":
            end = text.index("}", i)
            times, piece = text[i:end].split("{", 1)
            out += octets(piece) * int(times)
            i = end + 1
        elif c != "@":
            raise ValueError("unknown escape in " + text)
    return bytes(out)


def expand(lines):
    for i, (key, value) in enumerate(lines):
        if key == "for":
            name, _, values = value.partition("=")
            rest = lines[:i] + lines[i + 1:]
            values = values.split(",")
            if values[-1] == "":
                values.pop()  # as std::getline sees it
            for v in values or [""]:
                parts = [(name, v)] + ([(name + str(n + 1), p) for n, p in enumerate(v.split("|"))] if "|" in v else [])
                copy = rest
                for what, by in parts:
                    copy = [(k.replace("{" + what + "}", by), t.replace("{" + what + "}", by)) for k, t in copy]
                copy[0] = (copy[0][0], copy[0][1] + f" ({v})")
                yield from expand(copy)
            return
        if key == "cut":
            whole = octets(value)
            for n in range(len(whole)):
                copy = list(lines)
                copy[i] = ("send", "".join(f"\\x{b:02x}" for b in whole[:n]))
                copy[0] = (copy[0][0], copy[0][1] + f" ({n} octets)")
                yield from expand(copy)
            return
    yield lines


def load():
    for path in sorted((here / "cases").glob("*.txt")):
        lines = []
        for text in path.read_text(encoding="latin-1").split("\n"):
            if not text or text.startswith("#"):
                continue
            key, _, value = text.partition(":")
            if key == "name" and lines:
                yield from expand(lines)
                lines = []
            lines.append((key, value[1:]))
        yield from expand(lines)


class Ended(Exception):
    pass


class Peer(threading.Thread):
    """One origin: its listener, and the scripts of the connections to it in their order."""

    def __init__(self, scripts):
        super().__init__(daemon=True)
        self.scripts = scripts
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.authority = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted = 0
        self.problems = []
        self.workers = []

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            n = self.accepted
            self.accepted += 1
            if n >= len(self.scripts):
                self.problems.append("a connection that nobody expected")
                connection.close()
                continue
            worker = threading.Thread(target=self.follow, args=(connection, self.scripts[n]), daemon=True)
            worker.start()
            self.workers.append(worker)

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for worker in self.workers:
            worker.join(20)
            if worker.is_alive():
                self.problems.append("a connection outlives the client")

    def follow(self, connection, steps):
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left, seen = b"", b""
        wait = threading.Event().wait

        def say(text):
            try:
                connection.sendall(text)
                return True
            except OSError:
                return False

        def more():
            nonlocal left
            try:
                piece = connection.recv(65536)
            except OSError:
                piece = b""
            if not piece:
                self.problems.append("the peer waited for a request that did not come")
                raise Ended
            left += piece

        try:
            for verb, value in steps:
                if verb in ("recv", "head"):
                    while b"\r\n\r\n" not in left:
                        more()
                    size = left.index(b"\r\n\r\n") + 4
                    if verb == "recv":
                        length = re.search(rb"\r\nContent-Length: (\d+)", left[:size])
                        if length:
                            size += int(length.group(1))
                            while len(left) < size:
                                more()
                        elif b"\r\nTransfer-Encoding: chunked\r\n" in left[:size]:
                            while b"\r\n0\r\n\r\n" not in left:
                                more()
                            size = left.index(b"\r\n0\r\n\r\n") + 7
                    seen, left = left[:size], left[size:]
                elif verb in ("want", "lack"):
                    if (value in seen) != (verb == "want"):
                        self.problems.append(f"{verb} {value} in {seen[:1000]}")
                elif verb == "send":
                    say(value)
                elif verb == "trickle":
                    ms, text = value
                    for i in range(len(text)):
                        wait(ms / 1000)
                        if not say(text[i:i + 1]):
                            break
                elif verb == "flood":
                    times, text = value
                    block = max(1, 65536 // len(text))
                    while times > 0 and say(text * min(block, times)):
                        times -= block
                elif verb == "pause":
                    wait(value / 1000)
                elif verb == "fin":
                    try:
                        connection.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                elif verb in ("close", "rst"):
                    if verb == "rst":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise Ended
            while connection.recv(65536):
                pass
        except (Ended, OSError):
            pass
        finally:
            connection.close()


def run(lines):
    name = lines[0][1]
    asks = sum(key == "get" for key, _ in lines)
    if ("only", "client") in lines or asks != 1:
        return None
    keys = [key for key, _ in lines]
    scripts = {"a": [], "b": []}
    accepted = {"a": 1, "b": 0}
    raw = []
    for key, value in lines:
        if key == "peer":
            scripts[value].append([])
            current = scripts[value][-1]
        elif key in ("recv", "head", "want", "lack", "send", "trickle", "flood", "pause", "fin", "close", "rst"):
            current.append((key, value))
        elif key == "accepted":
            for word in value.split():
                origin, _, n = word.partition("=")
                accepted[origin] = int(n)
        else:
            raw.append((key, value))
    peers = {origin: Peer([]) for origin in scripts}

    def fill(text):
        for origin, peer in peers.items():
            text = text.replace(b"{" + origin.encode() + b"}", peer.authority.encode())
        return text

    def prepared(step):
        verb, value = step
        if verb == "pause":
            return verb, int(value)
        if verb in ("trickle", "flood"):
            number, _, text = value.partition(" ")
            return verb, (int(number), fill(octets(text)))
        return verb, fill(octets(value))

    for origin, peer in peers.items():
        peer.scripts = [[prepared(step) for step in script] for script in scripts[origin]]
    command = [program.encode(), b"--json"]
    body = expect = None
    for key, value in raw:
        if key == "get":
            command += [b"--url", fill(octets(value))]
        elif key == "method":
            command += [b"--method", octets(value)]
        elif key == "field":
            command += [b"--header", octets(value)]
        elif key == "data":
            file = tempfile.NamedTemporaryFile(dir=scratch.name, delete=False)
            file.write(octets(value))
            file.close()
            command += [b"--data-file", file.name.encode()]
            if "method" not in keys:
                command += [b"--method", b"GET"]
        elif key == "option":
            for word in value.split():
                option, _, number = word.partition("=")
                if option == "timeout":
                    command += [b"--timeout", str(float(number) / 1000).encode()]
                else:
                    command += [b"--" + option.replace("_", "-").encode(), number.encode()]
        elif key == "body":
            body = octets(value)
        elif key == "expect":
            expect = value.split()
    if any(b"\0" in argument for argument in command):
        return None  # no program can be given such an argument
    for peer in peers.values():
        peer.start()
    problems = []
    got = ""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=20)
        answer = json.loads(ended.stdout.split(b"\n")[-2])
        ok = expect[0] == "ok"
        got = f"ok {answer['status']}" if answer["ok"] else f"fail {answer['error']['class']}"
        if got != f"{expect[0]} {expect[1]}":
            problems.append(f"expected {expect[0]} {expect[1]}, got {got}: {answer['error']}")
        if (ended.returncode == 0) != ok:
            problems.append(f"exit status {ended.returncode}")
        if sorted(answer) != ["attempts", "body_b64", "error", "headers", "ok", "reused", "status"]:
            problems.append(f"the members are {sorted(answer)}")
        if answer["ok"] != (answer["error"] is None):
            problems.append("ok and error contradict each other")
        if body is not None and base64.b64decode(answer["body_b64"]) != body:
            problems.append(f"the body is {base64.b64decode(answer['body_b64'])[:200]}")
        if b"--retries" not in command and not any(word.startswith("attempts=") for word in expect):
            expect.append("attempts=0" if expect[1] == "usage" else "attempts=1")
        for word in expect[2:]:
            member, _, number = word.partition("=")
            if member in ("attempts", "reused") and int(answer[member]) != int(number):
                problems.append(f"{member} is {answer[member]} and not {number}")
    except subprocess.TimeoutExpired:
        problems.append("the program does not end")
    except (ValueError, IndexError):
        problems.append(f"no JSON on the last line: {ended.stdout[-300:]} {ended.stderr[-300:]} {ended.returncode}")
    for origin, peer in peers.items():
        peer.stop()
        problems += [f"{origin}: {p}" for p in peer.problems]
        if peer.accepted != accepted[origin]:
            problems.append(f"{peer.accepted} connections to {origin} and not {accepted[origin]}")
    return name, problems, got == "fail timeout"


def run_in_time(lines):
    """A busy machine may use up a short timeout before the program has connected: a case that ended by its timeout, and
    only such a case, is tried again, slower."""
    timed = any(key == "option" and "timeout=" in value for key, value in lines)
    for slower in (1, 3, 8) if timed else (1,):
        result = run([(key, stretched(key, value, slower)) for key, value in lines])
        if result is None or not result[1] or not result[2]:
            break
    return result


def stretched(key, value, times):
    if key == "pause":
        return str(int(value) * times)
    if key == "option":
        return re.sub(r"(timeout=)(\d+)", lambda m: m[1] + str(int(m[2]) * times), value)
    return value


cases = [lines for lines in load() if wanted in lines[0][1]]
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    results = [r for r in pool.map(run_in_time, cases) if r is not None]
failed = [r for r in results if r[1]]
for name, problems, _ in failed:
    print(name)
    for p in problems:
        print("    " + p)
print(f"{len(results) - len(failed)} cases passed, {len(failed)} failed")
sys.exit(1 if failed or not results else 0)
