#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# TLS over sockets under load, on both drivers: wrk, many clients at a time, large bodies each way that do not stay in
# memory, a handshake that goes octet by octet, and a drain with requests in flight.
#
#   SECONDS_EACH, MEBIBYTES   how long wrk runs (default 1) and how large the bodies are (default 64)
. "$(dirname "$0")/server.sh"
need curl wrk python3 head ss
seconds=${SECONDS_EACH:-1}
octets=$((${MEBIBYTES:-64} * 1048576))
resident() { awk '/VmRSS/ { print $2 }' "/proc/$pid/status"; }
# A sanitizer, which reserves terabytes, keeps what is freed: of that a mebibyte, and its own books grow with what is used.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1
room() { awk -v half=$((octets / 2048)) '/VmSize/ { print ($2 > 2 ^ 30 ? half : 8192) }' "/proc/$pid/status"; }
for driver in uring epoll; do
    FLUX_DRIVER=$driver start_server "$build/examples/https_hello" 0
    url=https://127.0.0.1:$port
    ask() { curl -sk --max-time 60 "$@"; }

    wrk -t1 -c64 "-d$seconds" "$url/" >"$work/wrk"
    grep -q 'requests in' "$work/wrk" || fail "wrk did not run: $(cat "$work/wrk")"
    ! grep -Eq 'Non-2xx|Socket errors' "$work/wrk" || fail "$driver: $(cat "$work/wrk")"
    sed -n "s/ *\([0-9]* requests in.*\)/$driver: \1/p" "$work/wrk"

    for i in $(seq 40); do ask "$url/hello/$i" & done >"$work/hellos"
    wait $(jobs -p | grep -v "^$pid\$")
    same "$driver, 40 clients at once" "$(for i in $(seq 40); do echo "Hello, $i!"; done | sort)" "$(sort "$work/hellos")"

    before=$(resident)
    same "$driver, download" $octets "$(ask "$url/stream/$octets" | wc -c)"
    same "$driver, upload" $octets "$(head -c $octets /dev/zero | ask -T - -X POST "$url/count")"
    after=$(resident)
    echo "$driver: $((octets >> 20)) MiB each way, resident memory $before KiB before, $after KiB after"
    [ $((after - before)) -lt "$(room)" ] || fail "$driver: $before KiB became $after KiB"

    # A client whose every octet comes by itself; one that says nothing more in mid-handshake delays nobody.
    python3 - "$port" <<'PY' || fail "$driver: octet by octet"
import socket, ssl, sys
class Trickle:
    def __init__(self, port):
        self.raw = socket.create_connection(("127.0.0.1", port))
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        ctx = ssl._create_unverified_context()
        self.tls = ctx.wrap_bio(self.into, self.out)
    def pump(self, what, *args):
        while True:
            try:
                done = what(*args)
            except ssl.SSLWantReadError:
                done = None
            for octet in self.out.read():
                self.raw.sendall(bytes([octet]))
            if done is not None or what == self.tls.do_handshake and self.tls.version() and not self.out.pending and self.finished():
                return done
            self.into.write(self.raw.recv(65536))
    def finished(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
port = int(sys.argv[1])
stuck = Trickle(port)
try:
    stuck.tls.do_handshake()
except ssl.SSLWantReadError:
    pass
stuck.raw.sendall(stuck.out.read()[:100])
t = Trickle(port)
t.pump(t.tls.do_handshake)
t.pump(t.tls.write, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
assert b"200 OK" in t.pump(t.tls.read, 4096)
PY

    # A drain: what is in flight is answered, and the server ends well.
    : >"$work/sent"
    for i in $(seq 10); do ask -v "$url/slow" 2>>"$work/sent" & done >"$work/slow"
    ask "$url/stream/$octets" --limit-rate $((octets / 2)) | wc -c >"$work/size" &
    # Until all have been sent and are read; each takes a second from there.
    for _ in $(seq 400); do
        [ "$(grep -c '^> GET /slow' "$work/sent")" = 10 ] && [ -z "$(ss -Htn state established "sport = :$port" | awk '$1 > 0')" ] && break
        sleep 0.02
    done
    stop_server
    wait
    same "$driver, exit status" 0 "$status"
    same "$driver, in flight at the drain" 10 "$(grep -c '^slow$' "$work/slow")"
    same "$driver, a large answer at the drain" $octets "$(cat "$work/size")"
done
