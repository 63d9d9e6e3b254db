#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The client against nginx, Node, Go, Python's http.server and HAProxy: keep-alive, chunks, trailers, 100-continue,
# 8 MB in both directions, and restarts between requests without one failed GET.
. "$(dirname "$0")/server.sh"
need nginx node go python3 haproxy
. "$(dirname "$0")/ports.sh"
here=$(cd "$(dirname "$0")" && pwd)
# restartable NAME COMMAND...: writes $work/NAME.restart, which ends what it started before and starts it again.
restartable() {
    local name=$1 port=$2
    shift 2
    cat >"$work/$name.restart" <<END
#!/usr/bin/env bash
if [ -f "$work/$name.pid" ]; then
    kill -\${1:-9} "\$(cat "$work/$name.pid")" 2>/dev/null
    while (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.01; done
fi
[ -z "\${1:-}" ] || exit 0
setsid $* >>"$work/$name.log" 2>&1 </dev/null &
echo \$! >"$work/$name.pid"
for _ in \$(seq 500); do
    (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && exit 0
    sleep 0.02
done
echo "$name does not listen on $port"
exit 1
END
    chmod +x "$work/$name.restart"
    "$work/$name.restart" || { cat "$work/$name.log" >&2; fail "$name does not start"; }
    pids+=("$(cat "$work/$name.pid")")
}
visit() { # NAME PORT WHAT [RESTART]
    FLUX_PEER_URL=http://127.0.0.1:$2 FLUX_PEER_CAN=$3 FLUX_PEER_RESTART=${4-$work/$1.restart} timeout 110 \
        "$build/tests/test_client" --source-file='*real_server_test.cpp' >"$work/$1.said" 2>&1 ||
        { cat "$work/$1.said" >&2; tail -5 "$work/$1.log" >&2; fail "$1: see above"; }
    pids+=("$(cat "$work/$1.pid")")
    echo "$1: $(grep -o 'assertions: *[0-9]*' "$work/$1.said")"
}

port=$(free_port)
cp "$here/servers/server.go" "$work/main.go"
(cd "$work" && GO111MODULE=off GOFLAGS= GOCACHE="${GOCACHE:-$work/cache}" go build -o server main.go) || fail "go build"
restartable go "$port" "$work/server" "$port"
visit go "$port" "echo chunked trailers continue close"

# HAProxy in front of Go, which stays.
front=$(free_port)
cat >"$work/haproxy.cfg" <<END
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend f
    bind 127.0.0.1:$front
    default_backend b
backend b
    server s 127.0.0.1:$port
END
restartable haproxy "$front" haproxy -db -f "$work/haproxy.cfg"
visit haproxy "$front" "echo chunked trailers continue close"

# nginx in front of Go: it answers Expect itself, holds bodies in files, and drops trailers that it announced.
front=$(free_port)
nginx_conf() { # SERVER
    cat <<END
daemon off;
worker_processes 2;
error_log $work/nginx.err;
pid $work/nginx.own.pid;
events { }
http {
    access_log off;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server { $1 }
}
END
}
nginx_conf "listen 127.0.0.1:$front; client_max_body_size 100m;
    location / { proxy_pass http://127.0.0.1:$port; proxy_http_version 1.1; proxy_set_header Connection ''; }" >"$work/front.conf"
chmod -R a+rX "$work"
restartable front "$front" nginx -c "$work/front.conf"
visit front "$front" "echo chunked continue close" ""
"$work/front.restart" QUIT

port=$(free_port)
restartable node "$port" node "$here/servers/server.js" "$port"
visit node "$port" "echo chunked trailers continue close"

port=$(free_port)
restartable python "$port" python3 "$here/servers/server.py" "$port"
visit python "$port" "echo chunked trailers continue close"

port=$(free_port)
mkdir -p "$work/www"
printf hello >"$work/www/hello"
python3 -c 'import sys
x, out = 1, bytearray(8000000)
for i in range(len(out)):
    x = (x * 1664525 + 1013904223) & 0xffffffff
    out[i] = x >> 24
sys.stdout.buffer.write(out)' >"$work/www/big"
nginx_conf "listen 127.0.0.1:$port; root $work/www;" >"$work/nginx.conf"
chmod -R a+rX "$work"
restartable nginx "$port" nginx -c "$work/nginx.conf"
visit nginx "$port" "close" ""
# nginx ends with its workers only where it is asked to; what is idle is closed then.
sed -i 's/kill -${1:-9}/kill -${1:-QUIT}/' "$work/nginx.restart"
visit nginx "$port" "close"
for name in go haproxy node python nginx; do "$work/$name.restart" TERM || true; done
echo "client: all servers were understood, no GET was lost in a restart"
