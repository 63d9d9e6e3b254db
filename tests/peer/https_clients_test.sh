#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/download and examples/crawl over https: what the authorities vouch for is fetched, anything else is refused.
. "$(dirname "$0")/server.sh"
need openssl nginx python3
. "$(dirname "$0")/ports.sh"
[ -x "$build/examples/tls_facts" ] || { echo "this configuration leaves TLS out: skipped"; exit 77; }
mkdir "$work/root"
head -c 10000000 /dev/urandom >"$work/root/big"
printf '<a href="/two.html"> <a href="/big">' >"$work/root/one.html"
printf '<a href="/one.html">' >"$work/root/two.html"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log" ||
    fail "$(cat "$work/openssl.log")"
port=$(free_port)
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; error_log $work/nginx.err; pid $work/nginx.pid;
events { }
http {
    types { text/html html; }
    log_format range '\$http_range'; access_log $work/ranges range;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server { listen 127.0.0.1:$port ssl; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; root $work/root; }
}
CONF
chmod -R a+rX "$work"
nginx -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
pids+=($!)
wait_for "$port"
url=https://127.0.0.1:$port
get() { timeout 60 "$build/examples/download" "$@" 2>"$work/said"; }
crawl() { timeout 60 "$build/examples/crawl" "$@" >"$work/pages" 2>"$work/said"; }

get "$url/big" "$work/a" 3 "$work/cert.pem" || fail "download: $(cat "$work/said")"
cmp "$work/root/big" "$work/a" || fail "the file is not the same"
pieces() { grep -c bytes= "$work/ranges"; }
for _ in $(seq 200); do # nginx writes a line when all is sent, and the client may be done before
    [ "$(pieces)" -lt 3 ] || break
    sleep 0.05
done
same "pieces" 3 "$(pieces)"
crawl "$url/one.html" 2 4 30 "$work/cert.pem" || fail "crawl: $(cat "$work/said")"
same "pages" 3 "$(grep -c " $url/" "$work/pages")"

# Without the file the authorities of the system count, which do not know the server. A file that is not there is an error.
for authorities in "" "$work/nothing.pem"; do
    why=${authorities:-certificate}
    if get "$url/big" "$work/b" 3 ${authorities:+"$authorities"}; then fail "download trusts anybody"; fi
    [ ! -e "$work/b" ] && [ ! -e "$work/b.part" ] || fail "a refused server left a file"
    grep -qF "$why" "$work/said" || fail "download does not say why: $(cat "$work/said")"
    if crawl "$url/one.html" 2 4 30 ${authorities:+"$authorities"}; then fail "crawl trusts anybody"; fi
    grep -qF "$why" "$work/said" || fail "crawl does not say why: $(cat "$work/said")"
done
echo "download and crawl: https in pieces and page by page, nothing from who is not trusted"
