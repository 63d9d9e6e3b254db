#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# curl gets exact answers: HTTP/1.0 and 1.1, keep-alive, HEAD, 404, 405, percent-encoding, a Unix socket.
. "$(dirname "$0")/server.sh"
need curl
start_server "$build/examples/hello" 0
url=http://127.0.0.1:$port

same "GET /" "Hello, World!" "$(curl -s "$url/")"
same "GET /hello/you" "Hello, you!" "$(curl -s "$url/hello/you")"
same "percent-encoding" "Hello, a/b c!" "$(curl -s "$url/hello/a%2Fb%20c")"
same "HTTP/1.0" "200 1.1 close" "$(curl -s -0 -o /dev/null -D "$work/head" -w '%{http_code} %{http_version}' "$url/") $(sed -n 's/^Connection: \(.*\)\r$/\1/p' "$work/head")"
same "HEAD" "200 13 0" "$(curl -s -I -o "$work/head" -w '%{http_code} %header{content-length} %{size_download}' "$url/")"
same "404" "404" "$(curl -s -o /dev/null -w '%{http_code}' "$url/nothing")"
same "405" "405 GET, HEAD, OPTIONS" "$(curl -s -o /dev/null -X POST -w '%{http_code} %header{allow}' "$url/")"
same "OPTIONS" "204 GET, HEAD, OPTIONS" "$(curl -s -o /dev/null -X OPTIONS -w '%{http_code} %header{allow}' "$url/")"
same "keep-alive" "1 0 0" "$(curl -s -w '%{num_connects} ' -o /dev/null "$url/" -o /dev/null "$url/hello/x" -o /dev/null "$url/" | sed 's/ $//')"
same "POST with a body that nobody reads" "405" "$(head -c 100000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' --data-binary @- "$url/")"
curl -s -D "$work/head" -o /dev/null "$url/"
grep -q '^Date: ..., .* GMT' "$work/head" || fail "no Date: $(cat "$work/head")"
grep -q '^Content-Type: text/plain' "$work/head" || fail "no Content-Type"
stop_server
same "exit status after SIGTERM" 0 "$status"
start_server "$build/examples/hello" "unix:$work/hello.sock"
same "--unix-socket" "Hello, you! 200 1.1" "$(curl -s --unix-socket "$work/hello.sock" -w ' %{http_code} %{http_version}' http://any/hello/you | tr -d '\n')"
same "keep-alive over it" "1 0" "$(curl -s --unix-socket "$work/hello.sock" -w '%{num_connects} ' -o /dev/null http://any/ -o /dev/null http://any/ | sed 's/ $//')"
same "HEAD over it" "200 13 0" "$(curl -s -I --unix-socket "$work/hello.sock" -o /dev/null -w '%{http_code} %header{content-length} %{size_download}' http://any/)"
stop_server
same "exit status of the server on a Unix socket" 0 "$status"
echo "curl: all answers are exact"
