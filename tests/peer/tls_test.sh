#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# TLS with others, both ways, full and resumed, 1.2 and 1.3: openssl, curl, Node, Go, nginx.
. "$(dirname "$0")/server.sh"
need openssl curl node nginx go
cd "$work" || fail "no directory"
make_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
sign() { # NAME SUBJECT_ALTERNATIVE
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n' "$2" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem"
}
{
    make_key ca
    openssl req -x509 -new -key ca.key -days 30 -subj /CN=test-ca -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
    make_key a && sign a DNS:a.test,DNS:localhost,IP:127.0.0.1
    make_key b && sign b DNS:b.test
    openssl genrsa -out r.key 2048 && sign r DNS:r.test
} >"$work/openssl.log" 2>&1 || fail "$(cat "$work/openssl.log")"

# ---- flux serves ----
start_server "$build/examples/https_hello" 0 --cert a.pem a.key --cert b.pem b.key --cert r.pem r.key
s_client() { timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile ca.pem -verify_return_error "$@" 2>&1; }
ask() { (printf 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'; sleep 0.5) | s_client -ign_eof "$@"; }
for version in tls1_2 tls1_3; do
    for name in a b r; do
        out=$(ask -servername $name.test -verify_hostname $name.test -$version) || true
        grep -q "Hello, TLS!" <<<"$out" || fail "openssl, $version, $name: $out"
        grep -q "CN = $name" <<<"$out" || fail "openssl, $version: not the certificate of $name"
    done
    out=$(ask -servername a.test -$version -sess_out session) || true
    out=$(ask -servername a.test -$version -sess_in session) || true
    grep -q "^Reused, " <<<"$out" || fail "openssl, $version: not resumed: $out"
    number=${version#tls}
    number=${number/_/.}
    same "curl, $version" "Hello, TLS!" "$(curl -s --cacert ca.pem --tlsv$number --tls-max "$number" \
        --resolve "a.test:$port:127.0.0.1" "https://a.test:$port/")"
done
for version in tls1 tls1_1; do
    out=$(s_client -$version -cipher 'ALL:@SECLEVEL=0' </dev/null) || true
    if grep -q "^New, TLSv1" <<<"$out"; then fail "$version was accepted"; fi
done
for cipher in NULL RC4 3DES aRSA+kRSA ADH CBC; do
    out=$(s_client -tls1_2 -cipher "$cipher:@SECLEVEL=0" </dev/null) || true
    if grep -q "^New, TLSv1.2, Cipher is [A-Z]" <<<"$out"; then fail "$cipher was accepted"; fi
done
same "the number of octets" 1000000 "$(curl -s --cacert ca.pem "https://127.0.0.1:$port/big/1000000" | wc -c)"
same "plain HTTP" "client sent an HTTP request to an HTTPS server" "$(curl -s "http://127.0.0.1:$port/" | tr -d '\r')"
cat >client.js <<'JS'
const https = require('https'), fs = require('fs');
const agent = new https.Agent({keepAlive: false, maxCachedSessions: 10, ca: fs.readFileSync('ca.pem')});
const get = () => new Promise((done, failed) => https.get(
    {host: '127.0.0.1', servername: 'a.test', port: process.argv[2], path: '/', agent},
    r => { let reused; let body = ''; reused = r.socket.isSessionReused(); r.on('data', d => body += d);
           r.on('end', () => done([body, reused])); }).on('error', failed));
(async () => { const one = await get(); const two = await get(); console.log(one[0].trim(), one[1], two[0].trim(), two[1]); })();
JS
same "Node" "Hello, TLS! false Hello, TLS! true" "$(timeout 20 node client.js "$port")"
mkdir go && cat >go/main.go <<'GO'
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	pem, _ := os.ReadFile("ca.pem")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := &tls.Config{RootCAs: roots, ServerName: "b.test", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
		for i := 0; i < 2; i++ {
			resp, err := client.Get("https://127.0.0.1:" + os.Args[1] + "/hello/go")
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			body, _ := io.ReadAll(resp.Body)
			fmt.Print(string(body), resp.TLS.DidResume, " ")
		}
	}
}
GO
same "Go" "Hello, go! false Hello, go! true Hello, go! false Hello, go! true " \
    "$(cd "$work" && GOFLAGS=-mod=mod GO111MODULE=off timeout 100 go run go/main.go "$port" | tr '\n' ' ')"
stop_server
same "exit status" 0 "$status"

# ---- flux asks ----
get() { timeout 20 "$build/examples/flux_get" --json --cacert ca.pem "$@" || true; }
wait_port() { for _ in $(seq 100); do (echo >"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; fail "no server on $1"; }
free_port() { node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }
others=()
trap 'kill "${others[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
for version in tls1_2 tls1_3; do
    p=$(free_port)
    openssl s_server -accept "$p" -cert a.pem -key a.key -$version -www >/dev/null 2>&1 &
    others+=($!)
    wait_port "$p"
    grep -q '"ok": true, "status": 200' <<<"$(get --url "https://127.0.0.1:$p/")" || fail "s_server, $version"
done
p=$(free_port)
openssl s_server -accept "$p" -cert a.pem -key a.key -CAfile ca.pem -Verify 1 -www >/dev/null 2>&1 &
others+=($!)
wait_port "$p"
grep -q certificate_required <<<"$(get --url "https://127.0.0.1:$p/")" || fail "s_server that wants a certificate"
grep -q '"ok": true' <<<"$(get --url "https://127.0.0.1:$p/" --cert b.pem --key b.key)" || fail "s_server with a certificate"
p=$(free_port)
mkdir ng
cat >ng/nginx.conf <<NGINX
daemon off; pid $work/ng/pid; error_log $work/ng/error.log; events {}
http { access_log off; client_body_temp_path $work/ng/b; proxy_temp_path $work/ng/p; fastcgi_temp_path $work/ng/f;
  uwsgi_temp_path $work/ng/u; scgi_temp_path $work/ng/s;
  server { listen 127.0.0.1:$p ssl; ssl_certificate $work/a.pem; ssl_certificate_key $work/a.key; ssl_protocols TLSv1.2 TLSv1.3;
    location / { return 200 "\$ssl_protocol \$ssl_session_reused\n"; } } }
NGINX
nginx -c "$work/ng/nginx.conf" -p "$work/ng" >"$work/ng/out" 2>&1 &
others+=($!)
wait_port "$p"
grep -q "$(printf 'TLSv1.3 .\n' | base64)" <<<"$(get --url "https://127.0.0.1:$p/")" || fail "nginx: $(get --url "https://127.0.0.1:$p/")"
free_port >node.port
node -e 'require("https").createServer({cert:require("fs").readFileSync("a.pem"),key:require("fs").readFileSync("a.key")},(q,r)=>r.end("node")).listen(+process.argv[1],"127.0.0.1")' "$(cat node.port)" &
others+=($!)
wait_port "$(cat node.port)"
grep -q '"body_b64": "bm9kZQ=="' <<<"$(get --url "https://127.0.0.1:$(cat node.port)/")" || fail "Node as a server"
echo "tls: openssl, curl, Node and Go ask; openssl, nginx and Node answer"
