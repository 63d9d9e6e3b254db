#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Behind HAProxy and nginx the server knows its clients: by the PROXY protocol in both versions, by X-Forwarded-For; and
# believes nobody but its proxy.
. "$(dirname "$0")/server.sh"
. "$(dirname "$0")/ports.sh"
need curl nginx haproxy python3
start_server "$build/examples/behind_proxy" 0
by_field=$port
start_server "$build/examples/behind_proxy" 0 --proxy
by_protocol=$port

v1=$(free_port) v2=$(free_port) forwarded=$(free_port) nginx_port=$(free_port)
cat >"$work/haproxy.conf" <<C
global
    maxconn 128
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    retries 0
listen v1
    bind 127.0.0.1:$v1
    server one 127.0.0.1:$by_protocol send-proxy
listen v2
    bind 127.0.0.1:$v2
    server one 127.0.0.1:$by_protocol send-proxy-v2
listen forwarded
    bind 127.0.0.1:$forwarded
    option forwardfor
    server one 127.0.0.1:$by_field
C
haproxy -f "$work/haproxy.conf" >"$work/haproxy.log" 2>&1 & pids+=($!)
cat >"$work/nginx.conf" <<C
daemon off; master_process off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 128; }
http {
    access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
    uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    server {
        listen 127.0.0.1:$nginx_port;
        location / { proxy_pass http://127.0.0.1:$by_field; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; }
    }
}
C
nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" & pids+=($!)
for at in $v1 $v2 $forwarded $nginx_port; do wait_for "$at"; done

# The client is 127.0.0.2, the proxy 127.0.0.1. What the client says about itself is behind the proxy's word.
ask() { curl -sS --max-time 20 --interface 127.0.0.2 -H 'X-Forwarded-For: 192.0.2.66' "$@" | sed -E 's/:[0-9]+( |$)/\1/g'; }
for _ in 1 2 3; do
    same "PROXY protocol, version 1" "127.0.0.2 by 127.0.0.2" "$(ask "http://127.0.0.1:$v1/")"
    same "PROXY protocol, version 2" "127.0.0.2 by 127.0.0.2" "$(ask "http://127.0.0.1:$v2/")"
    same "X-Forwarded-For of HAProxy" "127.0.0.2 by 127.0.0.1" "$(ask "http://127.0.0.1:$forwarded/")"
    same "X-Forwarded-For of nginx" "127.0.0.2 by 127.0.0.1" "$(ask "http://127.0.0.1:$nginx_port/")"
done
same "no proxy, but a client that says so" "127.0.0.2 by 127.0.0.2" "$(ask "http://127.0.0.1:$by_field/")"
ask "http://127.0.0.1:$by_protocol/" >"$work/refused" 2>/dev/null && fail "a connection without a header was served: $(cat "$work/refused")"
printf 'PROXY TCP4 192.0.2.66 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n' >"$work/forged"
python3 - "$by_protocol" "$work/forged" <<'P' || fail "a header from somebody who is no proxy was believed"
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), source_address=("127.0.0.2", 0), timeout=10)
s.sendall(open(sys.argv[2], "rb").read())
try:
    sys.exit(1 if s.recv(100) else 0)
except ConnectionError:
    pass
P
for p in "${pids[@]:0:2}"; do
    pid=$p
    stop_server
    same "exit status" 0 "$status"
done
