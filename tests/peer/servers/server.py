# SPDX-License-Identifier: MIT
"""What tests/client/real_server_test.cpp asks for, by Python's http.server: server.py PORT"""
import http.server
import sys

big = bytearray(8000000)
x = 1
for i in range(len(big)):
    x = (x * 1664525 + 1013904223) & 0xffffffff
    big[i] = x >> 24


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\r\none \r\n")
            self.wfile.write(b"9\r\ntwo three\r\n0\r\nX-Sum: 13\r\n\r\n")
        elif self.path in ("/hello", "/big"):
            self.answer(200, b"hello" if self.path == "/hello" else big)
        else:
            self.answer(404, b"missing")

    do_HEAD = do_GET

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.serve_forever()
