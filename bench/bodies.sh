#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# CPU time of large answers: files beside nginx, bodies from memory beside the floor program.
#
#   bench/bodies.sh [SLICES]     per row (default 60); servers on CPU 0, the client on CPU 1, all loopback
#
# Prints a line per server; the last of each group is what the others are compared with (x). Ends by itself.
. "$(dirname "$0")/lib.sh"
slices=${1:-60}
need nginx python3 taskset g++

cat >"$work/memory.cpp" <<'CPP'
#include <flux.hpp>
int main() {
    static const std::string body(1 << 20, 'x');
    flux::http::router app;
    app.get("/", [] { return flux::http::response().static_body(body); });
    return flux::serve("127.0.0.1:9711", app);
}
CPP
g++ -std=c++20 -O2 -Isingle_include "$work/memory.cpp" -luring -pthread -o "$work/memory"
g++ -std=c++20 -O2 -Isingle_include examples/static_server.cpp -luring -pthread -o "$work/static_server"
g++ -std=c++20 -O2 -w -fno-exceptions bench/floor/floor.cpp -o "$work/floor"
mkdir "$work/root"
head -c 1048576 /dev/urandom >"$work/root/large.bin"
head -c 4096 /dev/urandom >"$work/root/small.bin"
chmod -R a+rX "$work"
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 1024; use epoll; }
http { access_log off; sendfile on; keepalive_requests 1000000000;
  server { listen 127.0.0.1:9713; root $work/root; } }
CONF

start() { # COMMAND...
    taskset -c 0 "$@" >/dev/null 2>&1 &
    pids+=($!)
}
start "$work/memory"
memory=$!
start "$work/floor" serve port=9712 body=1048576
floor=$!
start nginx -c "$work/nginx.conf"
master=$!
start "$work/static_server" --root "$work/root" 9714
files=$!
sleep 1
nginx=$(pgrep -P "$master" | head -1)
duel="taskset -c 1 python3 bench/duel.py"
echo "1 MiB from memory, as x of the floor:"
$duel / 1048576 20 "$slices" "flux:9711:$memory" "floor:9712:$floor"
echo "1 MiB file, as x of nginx (sendfile on):"
$duel /large.bin 1048576 20 "$slices" "flux:9714:$files" "nginx:9713:$nginx"
echo "4 KiB file, as x of nginx (sendfile on):"
$duel /small.bin 4096 200 "$slices" "flux:9714:$files" "nginx:9713:$nginx"
