#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What TLS costs: flux over wolfSSL beside nginx over OpenSSL, same certificate, suite and group, in one interleaved run.
#
#   bench/tls.sh [SLICES]        per row (default 20); servers on CPU 0, the client on CPU 1, all loopback
#
# Prints CPU time of the servers per operation; x: median of the ratios to the last line of a group. "soft" is the same
# program with flux's AES-GCM callback taken out. Then the resident memory of idle connections. FLUX_BASE: another build of
# the program below to compare with (or "-" to print the program). IDLE: idle connections (default 10000). Ends by itself.
. "$(dirname "$0")/lib.sh"
slices=${1:-20}
need nginx python3 wrk openssl taskset g++
ulimit -n "$(ulimit -Hn)"

cat >"$work/program.cpp" <<'CPP'
// PORT CHAIN KEY [soft]
#include <flux.hpp>
#include <string_view>
namespace tls = flux::tls;
int main(int argc, char** argv) {
    static const std::string body(1 << 20, 'x');
    flux::http::router app;
    app.get("/", [] { return "Hello, World!"; });
    app.get("/large.bin", [] { return flux::http::response().static_body(body); });
    auto context = tls::server_context::make(tls::server_settings(tls::identity::files(argv[2], argv[3]))).value();
    if (argc > 4 && std::string_view(argv[4]) == "soft") {
        wolfSSL_CTX_SetDevId(context->native(), INVALID_DEVID);
    }
    return tls::serve(std::string("127.0.0.1:") + argv[1], app, std::make_shared<tls::server_config>(context));
}
CPP
if [ "${FLUX_BASE:-}" = - ]; then
    cat "$work/program.cpp"
    exit 0
fi
g++ -std=c++20 -O2 -DFLUX_WITH_TLS=1 -Isingle_include "$work/program.cpp" -luring -lwolfssl -pthread -o "$work/program"
openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -days 30 -subj /CN=bench-ca -out "$work/ca.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out "$work/own.key"
openssl req -new -key "$work/own.key" -subj /CN=localhost -out "$work/own.csr" 2>/dev/null
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n' >"$work/own.ext"
openssl x509 -req -in "$work/own.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 30 \
    -extfile "$work/own.ext" -out "$work/own.pem" 2>/dev/null
mkdir "$work/root"
head -c 1048576 /dev/urandom >"$work/root/large.bin"
chmod -R a+rX "$work"
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 19000; multi_accept on; use epoll; }
http { access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 600s;
  ssl_certificate $work/own.pem; ssl_certificate_key $work/own.key; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  open_file_cache max=10;
  server { listen 127.0.0.1:9723 ssl backlog=4096; root $work/root;
    location = / { default_type text/plain; return 200 "Hello, World!"; } } }
CONF

realtime="chrt -f 10"
$realtime true 2>/dev/null || realtime=""
start() { # COMMAND...
    $realtime taskset -c 0 "$@" >/dev/null 2>&1 &
    pids+=($!)
}
ready() { for _ in $(seq 100); do curl -sk -o /dev/null "https://127.0.0.1:$1/" && return; sleep 0.05; done; echo "port $1 is not ready"; exit 1; }
start "$work/program" 9721 "$work/own.pem" "$work/own.key"
flux=${pids[-1]}
start "$work/program" 9722 "$work/own.pem" "$work/own.key" soft
soft=${pids[-1]}
start nginx -c "$work/nginx.conf"
base=()
if [ -n "${FLUX_BASE:-}" ]; then
    start "$FLUX_BASE" 9724 "$work/own.pem" "$work/own.key"
    base=("base:9724:${pids[-1]}")
    ready 9724
fi
ready 9721; ready 9722; ready 9723
nginx=$(pgrep -P "${pids[2]}" | head -1)
both=("flux:9721:$flux" "${base[@]}" "nginx:9723:$nginx")
client="$realtime taskset -c 1 python3 bench/tls.py"
echo "machine: $(nproc) CPUs, Linux $(uname -r), nginx $(nginx -v 2>&1 | sed 's/.*nginx.//'), $(openssl version), wolfSSL $(sed -n 's/.*LIBWOLFSSL_VERSION_STRING "\(.*\)"/\1/p' /usr/include/wolfssl/version.h)"
rows=${ROWS:-full resumed gets bodies idle}
for row in $rows; do
    case $row in
    full) echo "full handshake, TLS 1.3, ECDSA P-256, X25519:"; $client handshakes full 100 "$slices" "$work/ca.pem" "${both[@]}" ;;
    resumed) echo "resumed handshake:"; $client handshakes resumed 100 "$slices" "$work/ca.pem" "${both[@]}" ;;
    gets) echo "keep-alive GET, 13 octets, 64 connections:"; $client gets 64 1 "$((slices / 2 + 1))" "$work/ca.pem" "${both[@]}" ;;
    bodies) echo "1 MiB, AES-128-GCM, one connection:"
        $client bodies /large.bin 1048576 20 "$slices" "$work/ca.pem" "${both[@]}"
        $client bodies /large.bin 1048576 5 "$((slices / 2 + 1))" "$work/ca.pem" "soft:9722:$soft" "flux:9721:$flux" ;;
    idle)
        n=${IDLE:-10000}
        for one in "flux:9721:$flux" "${base[@]}" "nginx:9723:$nginx"; do
            IFS=: read -r name port pid <<<"$one"
            before=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
            mkfifo "$work/hold.$name"
            taskset -c 1 python3 bench/tls.py hold "$n" "$port" "$work/ca.pem" <"$work/hold.$name" >"$work/held.$name" &
            holder=$!
            exec 7>"$work/hold.$name"
            for _ in $(seq 600); do grep -q holding "$work/held.$name" && break; kill -0 $holder || exit 1; sleep 0.1; done
            after=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
            exec 7>&-
            wait $holder || true
            awk -v b="$before" -v a="$after" -v n="$n" -v who="$name" 'BEGIN {
                printf "idle, %d connections: %-6s %.0f octets of RSS each (%d KiB before, %d with them)\n", n, who, (a - b) * 1024 / n, b, a }'
        done ;;
    esac
done
