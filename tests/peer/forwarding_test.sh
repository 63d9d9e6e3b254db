#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/reverse_proxy between real clients and examples/inspect_server, then in front of a server that is killed.
. "$(dirname "$0")/server.sh"
need curl wrk
start_server "$build/examples/inspect_server" 0
behind=$port
behind_pid=$pid
start_server "$build/examples/reverse_proxy" 0 "http://127.0.0.1:$behind"
front=http://127.0.0.1:$port

answer=$(curl -sS -H 'X-One: 1' -H 'Connection: X-Hop' -H 'X-Hop: 1' "$front/a%2Fb?q=1")
case $answer in *'"target": "/a%2Fb?q=1"'*'["X-One", "1"]'*'["Via", "1.1 flux"]'*) ;; *) fail "not sent on: $answer" ;; esac
case $answer in *X-Hop*) fail "a field of the hop was sent on: $answer" ;; esac

head -c 20000000 /dev/urandom >"$work/large"
answer=$(curl -sS -T "$work/large" "$front/up" | python3 -c 'import base64, hashlib, json, sys
print(hashlib.sha256(base64.b64decode(json.load(sys.stdin)["body_b64"])).hexdigest())')
same "20 MB up" "$(sha256sum <"$work/large" | cut -d' ' -f1)" "$answer"
answer=$(curl -sS -H 'Transfer-Encoding: chunked' -T "$work/large" "$front/up" | python3 -c 'import base64, json, sys
print(len(base64.b64decode(json.load(sys.stdin)["body_b64"])))')
same "20 MB up, chunked" 20000000 "$answer"
same "64 MiB down" 67108864 "$(curl -sS "$front/bytes/67108864" | wc -c)"
same "HEAD" "200 0" "$(curl -sS -I -o /dev/null -w '%{http_code} %{size_download}' "$front/bytes/1000")"

wrk -t1 -d2 -c32 "$front/" >"$work/wrk"
grep -q 'requests in' "$work/wrk" || fail "wrk did not run: $(cat "$work/wrk")"
! grep -Eq 'Non-2xx|Socket errors' "$work/wrk" || fail "wrk: $(cat "$work/wrk")"
connections=$(grep -c . <(ss -Htn state established "dport = :$behind" 2>/dev/null) || true)
[ "$connections" -le 100 ] || fail "$connections connections to the server behind"

kill -KILL "$behind_pid"
wait "$behind_pid" 2>/dev/null || true
same "nobody behind" 502 "$(curl -sS -o /dev/null -w '%{http_code}' "$front/")"
same "the proxy lives" 200 "$(curl -sS -o /dev/null -w '%{http_code}' "$front/health")"
stop_server
same "exit status" 0 "$status"
echo "forwarded"
