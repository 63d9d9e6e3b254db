#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/download: in pieces over several connections, resumed without fetching anything twice, without ranges, and
# what fails leaves no file.
. "$(dirname "$0")/server.sh"
need python3 curl nginx
. "$(dirname "$0")/ports.sh"
mkdir "$work/root"
head -c 10000000 /dev/urandom >"$work/root/big"
printf 'small\n' >"$work/root/small"
start_server "$build/examples/static_server" --root "$work/root" 0
url=http://127.0.0.1:$port
get() { timeout 60 "$build/examples/download" "$@" 2>"$work/said"; }

get "$url/big" "$work/a" 3 || fail "download: $(cat "$work/said")"
cmp "$work/root/big" "$work/a" || fail "the file is not the same"
grep -q "10000000 octets" "$work/said" || fail "it says: $(cat "$work/said")"
[ ! -e "$work/a.part" ] && [ ! -e "$work/a.part.done" ] || fail "parts are left over"
get "$url/small" "$work/b" || fail "download of a small file: $(cat "$work/said")"
cmp "$work/root/small" "$work/b" || fail "the small file is not the same"

# The first of three pieces is there, as zeros: they stay, so it was not fetched again.
etag=$(curl -sI "$url/big" | tr -d '\r' | sed -n 's/^ETag: //ip')
[ -n "$etag" ] || fail "the server gives no ETag"
printf '%s\n%s\n' "$url/big 10000000 $etag" 0 >"$work/c.part.done"
head -c 4194304 /dev/zero >"$work/c.part"
get "$url/big" "$work/c" || fail "resumed: $(cat "$work/said")"
{ head -c 4194304 /dev/zero; tail -c +4194305 "$work/root/big"; } | cmp - "$work/c" || fail "it was not resumed"
# Of another version nothing is kept.
printf '%s\n%s\n' "$url/big 10000000 \"other\"" 0 >"$work/d.part.done"
head -c 4194304 /dev/zero >"$work/d.part"
get "$url/big" "$work/d" || fail "another version: $(cat "$work/said")"
cmp "$work/root/big" "$work/d" || fail "pieces of another version were kept"

if get "$url/nothing" "$work/e"; then fail "a 404 became a file"; fi
[ ! -e "$work/e" ] && [ ! -e "$work/e.part" ] || fail "a 404 left a file"
grep -q 404 "$work/said" || fail "it does not say why: $(cat "$work/said")"
stop_server

# Stopped by Ctrl-C in the middle, and going on: nginx is asked for nothing twice.
port=$(free_port)
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; error_log $work/nginx.err; pid $work/nginx.pid;
events { }
http {
    log_format range '\$http_range'; access_log $work/ranges range;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server { listen 127.0.0.1:$port; root $work/root; limit_rate 6m; }
}
CONF
chmod -R a+rX "$work"
nginx -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
pids+=($!)
wait_for "$port"
"$build/examples/download" "http://127.0.0.1:$port/big" "$work/h" 1 2>"$work/said" &
pid=$!
pids+=("$pid")
for _ in $(seq 500); do
    [ "$(cat "$work/h.part.done" 2>/dev/null | wc -l)" -ge 2 ] && break
    sleep 0.02
done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
same "exit status after SIGINT" 130 "$status"
grep -q "download: stopped; the same command goes on" "$work/said" || fail "it says: $(cat "$work/said")"
[ ! -e "$work/h" ] && [ -e "$work/h.part" ] || fail "SIGINT: a file, or no part of it"
finished=$(tail -n +2 "$work/h.part.done" | wc -l)
: >"$work/ranges"
get "http://127.0.0.1:$port/big" "$work/h" 1 || fail "after SIGINT: $(cat "$work/said")"
cmp "$work/root/big" "$work/h" || fail "after SIGINT the file is not the same"
same "pieces that were missing" $((3 - finished)) "$(grep -c bytes= "$work/ranges")"

# A server without ranges: one stream. Stopped in the middle: an error, and no file.
cat >"$work/plain.py" <<'PY'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_HEAD(self): self.send_error(405)
    def do_GET(self):
        body = open(sys.argv[1], "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.path == "/big" else body[:1000000])
        self.close_connection = self.path != "/big"
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("flux: listening on 127.0.0.1:%d" % server.server_address[1], file=sys.stderr, flush=True)
server.serve_forever()
PY
start_server python3 "$work/plain.py" "$work/root/big"
get "http://127.0.0.1:$port/big" "$work/f" || fail "without ranges: $(cat "$work/said")"
cmp "$work/root/big" "$work/f" || fail "without ranges the file is not the same"
if get "http://127.0.0.1:$port/cut" "$work/g"; then fail "a cut body became a file"; fi
[ ! -e "$work/g" ] && [ ! -e "$work/g.part" ] || fail "a cut body left a file"
echo "download: pieces, resumption, one stream, and errors"
