# SPDX-License-Identifier: MIT
"""Gives the request corpus to flux, nginx and Node, and compares what they make of it with docs/conformance.md.

conformance.py FLUX_PORT [--write]

Every case in which they differ must be listed there, with these very verdicts; --write brings the tables up to date
and puts what fits no section under "Not explained". nginx stands in front of a server that takes everything, so that
its verdict is its own. Cases with limits of their own are left out: every server has other limits.
"""
import base64
import concurrent.futures
import http.server
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "conformance.md"
QUIET = float(os.environ.get("FLUX_CONFORMANCE_QUIET", "1.5"))  # seconds without an octet that mean: it waits


# ---- the corpus ----

def octets_of(text):
    out, i = bytearray(), 0
    simple = {"r": 13, "n": 10, "t": 9, "0": 0, "\\": 92}
    while i < len(text):
        if text[i] != "\\":
            out += text[i].encode()
            i += 1
            continue
        kind = text[i + 1]
        if kind in simple:
            out.append(simple[kind])
            i += 2
        elif kind == "@":
            i += 2
        elif kind == "x":
            out.append(int(text[i + 2:i + 4], 16))
            i += 4
        elif kind == "*":
            opened = text.index("{", i)
            closed = text.index("}", opened)
            out += octets_of(text[opened + 1:closed]) * int(text[i + 2:opened])
            i = closed + 1
        else:
            sys.exit(f"unknown escape \\{kind}")
    return bytes(out)


def load():
    cases = []
    for path in sorted((ROOT / "tests/corpus/http1/request").glob("*.txt")):
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            key, value = line.split(": ", 1)
            if key == "name":
                cases.append({"file": path.name, "name": value, "octets": b"", "limits": False})
            elif key == "send":
                cases[-1]["octets"] += octets_of(value)
            elif key == "limits":
                cases[-1]["limits"] = True
    return cases


# ---- one verdict ----

def verdict(port, octets, quiet):
    """takes BODY | refuses STATUS | closes | waits"""
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.settimeout(quiet)
            try:
                s.sendall(octets)
            except OSError:
                pass  # it has refused already
            while True:
                try:
                    piece = s.recv(65536)
                except socket.timeout:
                    break
                except OSError:
                    piece = b""
                if not piece:
                    return read_answer(got) or "closes"
                got += piece
                answer = read_answer(got, whole=True)
                if answer:
                    return answer
    except OSError as e:
        return f"fails ({e})"
    return read_answer(got) or "waits"


def read_answer(got, whole=False):
    """The first final answer; None where there is none (or, if `whole`, not all of it yet)."""
    while True:
        head, end, rest = got.partition(b"\r\n\r\n")
        if not end:
            return None
        status = int(head.split(b" ")[1])
        if status >= 200:
            break
        got = rest  # 100 (Continue)
    if status != 200:
        return f"refuses {status}"
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    size = int(length[1]) if length else 0
    if whole and len(rest) < size:
        return None
    try:
        said = json.loads(rest[:size])
        return "takes " + base64.b64decode(said["body_b64"]).decode("latin-1")
    except (ValueError, KeyError):
        return "takes ?"


# ---- the other servers ----

class taker(http.server.BaseHTTPRequestHandler):
    """Behind nginx, which sends well-formed requests: says what body it got, whatever the method and the target."""
    def handle(self):
        head = b""
        while True:
            line = self.rfile.readline()
            head += line
            if line in (b"\r\n", b""):
                break
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        body = self.rfile.read(int(length[1])) if length else b""
        answer = json.dumps({"body_b64": base64.b64encode(body).decode()}).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer) + answer)


class takers(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


NGINX = """daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/log;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{ listen 127.0.0.1:{port}; client_max_body_size 64m; location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}
}}
"""
NODE = """
const server = require('http').createServer((req, res) => {
    const pieces = [];
    req.on('data', p => pieces.push(p));
    req.on('end', () => {
        const text = JSON.stringify({body_b64: Buffer.concat(pieces).toString('base64')});
        res.writeHead(200, {'Content-Length': Buffer.byteLength(text)});
        res.end(text);
    });
});
server.on('connect', (req, socket) => socket.end('HTTP/1.1 405 Method Not Allowed\\r\\nContent-Length: 0\\r\\n\\r\\n'));
server.listen(+process.argv[1], '127.0.0.1', 1024);
"""


def free_port():
    """Below those that outgoing connections get, or one of them may have it by the time it is used."""
    while True:
        port = random.randint(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def start(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"{command[0]} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{command[0]} does not listen")


# ---- the page ----

HEAD = "| case | flux | nginx | Node |\n|---|---|---|---|\n"
# <!-- cases: FILES: NAMES -->, two regular expressions: of the names of files without .txt, and of cases in them.
SECTION = re.compile(r"^<!-- cases: ([^: ]+)(?:: (.*?))? -->\n((?:\|.*\n)*)", re.M)


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def shown(v):
    return "takes" if v.startswith("takes") else v


def row(case, verdicts):
    flux = verdicts["flux"]
    cells = [cell(case["name"]), shown(flux)]
    for peer in ("nginx", "node"):
        v = verdicts[peer]
        another = v.startswith("takes") and flux.startswith("takes") and v != flux
        cells.append("the same" if v == flux else "takes another body" if another else shown(v))
    return "| " + " | ".join(cells) + " |\n"


def page_with(text, rows):
    """The page with these rows, each in the first section that its case fits."""
    left = dict(rows)

    def fill(m):
        files, names = re.compile(m[1]), re.compile(m[2] or "")
        mine = [k for k in left if files.fullmatch(k[0].removesuffix(".txt")) and names.search(k[1])]
        table = "".join(left.pop(k) for k in mine)
        return f"<!-- cases: {m[1]}{': ' + m[2] if m[2] else ''} -->\n" + (HEAD + table if table else "")

    text = text[:text.index("\n## Not explained")] + "\n" if "\n## Not explained" in text else text
    text = SECTION.sub(fill, text)
    if left:
        text += "\n## Not explained\n\n" + HEAD + "".join(left.values())
    return text, left


def main():
    flux_port, write = int(sys.argv[1]), "--write" in sys.argv
    cases = [c for c in load() if not c["limits"]]
    behind = takers(("127.0.0.1", 0), taker)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        ports = {"flux": flux_port, "nginx": free_port()}
        pathlib.Path(scratch, "conf").write_text(NGINX.format(dir=scratch, port=ports["nginx"], behind=behind.server_address[1]))
        peers = [start(["nginx", "-p", scratch, "-c", f"{scratch}/conf", "-e", f"{scratch}/log"], ports["nginx"])]
        try:
            ports["node"] = free_port()
            peers.append(start(["node", "-e", NODE, str(ports["node"])], ports["node"]))
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                ask = lambda c, quiet: {n: pool.submit(verdict, p, c["octets"], quiet) for n, p in ports.items()}
                asked = [(c, ask(c, QUIET)) for c in cases]
                answers = [(c, {n: f.result() for n, f in fs.items()}) for c, fs in asked]
                differ = [i for i, (c, v) in enumerate(answers) if len(set(v.values())) > 1]
                # A busy machine looks like a server that waits: whatever differs is asked again, patiently.
                again = [(i, ask(cases[i], 2 * QUIET)) for i in differ]
                for i, fs in again:
                    answers[i] = (cases[i], {n: f.result() for n, f in fs.items()})
        finally:
            for p in peers:
                p.kill()
                p.wait()
    rows = {(c["file"], c["name"]): row(c, v) for c, v in answers if len(set(v.values())) > 1}
    print(f"{len(cases)} cases, {len(rows)} disagreements")
    failed = [c["name"] for c, v in answers if any(x.startswith("fails") for x in v.values())]
    if failed:
        sys.exit("no connection in: " + "; ".join(failed[:5]))
    listed = set(PAGE.read_text().splitlines(keepends=True)) if PAGE.exists() else set()
    if write:
        text, left = page_with(PAGE.read_text(), rows)
        PAGE.write_text(text)
        print(f"{len(left)} of them not explained")
        return 1 if left else 0
    unlisted = [r for r in rows.values() if r not in listed]
    for r in unlisted:
        print("not listed in docs/conformance.md:", r, end="")
    if "\n## Not explained" in PAGE.read_text():
        print("docs/conformance.md has disagreements without a reason")
        return 1
    gone = len([r for r in listed if r.startswith("| ") and r.count("|") >= 5 and r not in rows.values()]) - 1
    if not unlisted and gone > 0:
        print(f"{gone} listed disagreements are none any more: conformance.py --write removes them")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
