#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ranges of files: static_server answers as nginx does, field by field.
. "$(dirname "$0")/server.sh"
need nginx python3
. "$(dirname "$0")/ports.sh"
mkdir -p "$work/root" "$work/nginx/logs"
start_server "$build/examples/static_server" --root "$work/root" 0
nginx_port=$(free_port)
run_as=""
[ "$(id -u)" -ne 0 ] || run_as="user root;"
cat >"$work/nginx/nginx.conf" <<CONF
$run_as
worker_processes 1;
daemon off;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 256; }
http {
    access_log off;
    sendfile on;
    max_ranges 16;
    charset utf-8;
    default_type application/octet-stream;
    types { text/plain txt; }
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    server { listen 127.0.0.1:$nginx_port; root $work/root; }
}
CONF
nginx -e "$work/nginx/error.log" -p "$work/nginx" -c "$work/nginx/nginx.conf" &
pids+=("$!")
wait_for "$nginx_port"
python3 "$source_dir/tests/peer/ranges.py" "$port" "$nginx_port" "$work/root" || fail "ranges.py"
stop_server
same "exit status after SIGTERM" 0 "$status"
