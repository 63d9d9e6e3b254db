#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nginx and HAProxy in front of inspect_server, with connections that are kept: Go's client and curl see no error, and
# the proxies open few connections. Then they end while requests are on their way.
. "$(dirname "$0")/server.sh"
. "$(dirname "$0")/ports.sh"
need go nginx haproxy curl python3
requests=${FLUX_PROXY_REQUESTS:-150} # of each of 24 connections
cp "$(dirname "$0")/reverse_proxy_client.go" "$work/main.go"
(cd "$work" && GO111MODULE=off GOFLAGS= GOCACHE="${GOCACHE:-$work/cache}" go build -o client main.go) || fail "go build"
start_server "$build/examples/inspect_server" 0
flux=$port

# Connections to the server, also those that were closed a moment ago.
connections() { python3 - "$flux" <<'P'
import sys
port = ":%04X" % int(sys.argv[1])
print(sum(line.split()[2].endswith(port) for line in open("/proc/net/tcp").readlines()[1:]))
P
}

nginx_port=$(free_port)
cat >"$work/nginx.conf" <<C
daemon off; master_process off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 512; }
http {
    access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
    uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    upstream flux { server 127.0.0.1:$flux max_fails=0; keepalive 32; }
    server {
        listen 127.0.0.1:$nginx_port; client_max_body_size 64m; proxy_request_buffering off;
        location / { proxy_pass http://flux; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off; }
    }
}
C
nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" & pids+=($!)
haproxy_port=$(free_port)
cat >"$work/haproxy.conf" <<C
global
    maxconn 512
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    retries 0
    http-reuse always
frontend in
    bind 127.0.0.1:$haproxy_port
    default_backend flux
backend flux
    server one 127.0.0.1:$flux
C
haproxy -f "$work/haproxy.conf" >"$work/haproxy.log" 2>&1 & pids+=($!)

"$work/client" "http://127.0.0.1:$flux" "$requests" || fail "without a proxy"
for proxy in nginx haproxy; do
    at=${proxy}_port
    wait_for "${!at}"
    before=$(connections)
    "$work/client" "http://127.0.0.1:${!at}" "$requests" || { tail -5 "$work/$proxy.log"; fail "behind $proxy"; }
    opened=$(($(connections) - before))
    [ "$opened" -le 200 ] || fail "$proxy opened $opened connections: they are not kept"
    url=http://127.0.0.1:${!at}
    head -c 3000000 /dev/urandom >"$work/body"
    same "$proxy: an upload of 3 MB" "$(base64 -w0 "$work/body" | md5sum)" \
        "$(curl -sS --data-binary "@$work/body" -H 'Expect: 100-continue' "$url/up" | sed 's/.*"body_b64": "\([^"]*\)".*/\1/' | tr -d '\n' | md5sum)"
    same "$proxy: a download of 50 MB" "200 50000000" "$(curl -sS -o /dev/null -w '%{http_code} %{size_download}' "$url/bytes/50000000")"
    same "$proxy: HTTP/1.0 and a slow answer" "200" "$(curl -sS -0 -o /dev/null -w '%{http_code}' "$url/sleep/300")"
    echo "behind $proxy: $opened connections to the server"
done

curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$nginx_port/sleep/1500" >"$work/late" & late=$!
sleep 0.5
stop_server
wait "$late" || fail "the request that was on its way when the server was stopped"
same "and its answer" 200 "$(cat "$work/late")"
same "exit status" 0 "$status"
