#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/crawl: every page once, level by level; a page that cannot be had, or the deadline, stops everything.
. "$(dirname "$0")/server.sh"
need python3
cat >"$work/site.py" <<'PY'
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        path, n = self.path, self.path[2:]
        if path == "/broken":
            body, status = "<a href='/p1'> <a href='/missing'> <a href='/p2'>", 200
        elif path == "/slow":
            time.sleep(30)
            return
        elif path.startswith("/p") and int(n) < 100:
            links = "".join('<a href="/p%d#top">' % (int(n) * 10 + i) for i in range(10))
            body, status = links + '<a href="http://elsewhere.test/"><img src=\'/p1\'><a href="mailto:x@y">', 200
        else:
            body, status = "end", 200 if path.startswith("/p") else 404
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.request_queue_size = 64
print("flux: listening on 127.0.0.1:%d" % server.server_address[1], file=sys.stderr, flush=True)
server.serve_forever()
PY
start_server python3 "$work/site.py"
url=http://127.0.0.1:$port
crawl() { timeout 60 "$build/examples/crawl" "$@" >"$work/pages" 2>"$work/said"; }

crawl "$url/p1" 2 5 || fail "crawl: $(cat "$work/said")"
same "pages" 111 "$(grep -c " $url/" "$work/pages")"
same "once each" 111 "$(sort -u "$work/pages" | grep -c " $url/")"
same "levels" "0 pages were not visited" "$(tail -1 "$work/pages")"
crawl "$url/p1" 1 || fail "crawl: $(cat "$work/said")"
same "one level" "11 100 pages were not visited" "$(grep -c " $url/" "$work/pages") $(tail -1 "$work/pages")"
if crawl "$url/broken" 3 4; then fail "a missing page is no error"; fi
grep -q "/missing: 404" "$work/said" || fail "it does not say why: $(cat "$work/said")"
if crawl "$url/slow" 1 1 1; then fail "the deadline is no error"; fi
grep -q "timed out" "$work/said" || fail "it does not say why: $(cat "$work/said")"
echo "crawl: pages, levels, errors, the deadline"
