#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# TLS with others, both ways, full and resumed, 1.2 and 1.3: openssl, curl, Node, Go, nginx. Each cell of the table is
# asserted by what either end says: whether the session was new or resumed, and in which version.
. "$(dirname "$0")/server.sh"
need openssl curl node nginx go python3
. "$(dirname "$0")/ports.sh"
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

cat >peer.js <<'JS'
// client PORT VERSION: two GETs, each over a connection of its own.    server PORT VERSION
const https = require('https'), fs = require('fs');
const [what, port, version] = process.argv.slice(2);
const only = {minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
const view = s => `${s.getProtocol()} ${s.isSessionReused() ? 'resumed' : 'new'}`;
if (what === 'server') {
  https.createServer({cert: fs.readFileSync('a.pem'), key: fs.readFileSync('a.key'), ...only},
                     (q, r) => r.end(view(q.socket))).listen(+port, '127.0.0.1');
} else {
  const agent = new https.Agent({keepAlive: false, maxCachedSessions: 10, ca: fs.readFileSync('ca.pem'), ...only});
  const get = () => new Promise((done, failed) => https.get(
    {host: '127.0.0.1', servername: 'a.test', port, path: '/', agent},
    r => { const mine = view(r.socket); let body = ''; r.on('data', d => body += d);
           r.on('end', () => done(`${mine} | ${body.trim()}`)); }).on('error', failed));
  (async () => { console.log(await get()); console.log(await get()); })();
}
JS
mkdir go && cat >go/peer.go <<'GO'
// client PORT VERSION: two GETs, each over a connection of its own.    server PORT VERSION
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func view(s *tls.ConnectionState) string {
	text := map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[s.Version]
	if s.DidResume {
		return text + " resumed"
	}
	return text + " new"
}

func main() {
	what, port := os.Args[1], os.Args[2]
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[3]]
	if what == "server" {
		server := &http.Server{Addr: "127.0.0.1:" + port, TLSConfig: &tls.Config{MinVersion: version, MaxVersion: version},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, view(r.TLS)) })}
		fmt.Println(server.ListenAndServeTLS("a.pem", "a.key"))
		return
	}
	pem, _ := os.ReadFile("ca.pem")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cfg := &tls.Config{RootCAs: roots, ServerName: "a.test", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	for i := 0; i < 2; i++ {
		resp, err := client.Get("https://127.0.0.1:" + port + "/")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(view(resp.TLS), "|", strings.TrimSpace(string(body)))
	}
}
GO
(cd go && GO111MODULE=off GOCACHE="${GOCACHE:-$work/gocache}" timeout 200 go build -o "$work/go_peer" peer.go) || fail "go build"
nginx_conf() { # DIRECTORY SERVER_BLOCK
    mkdir -p "$1"
    cat >"$1/nginx.conf" <<NGINX
daemon off; master_process off; pid $work/$1/pid; error_log $work/$1/error.log debug; events {}
http { access_log off; client_body_temp_path $work/$1/b; proxy_temp_path $work/$1/p; fastcgi_temp_path $work/$1/f;
  uwsgi_temp_path $work/$1/u; scgi_temp_path $work/$1/s; $2 }
NGINX
    nginx -c "$work/$1/nginx.conf" -p "$work/$1" >"$work/$1/out" 2>&1 &
    pids+=($!)
}
# What both ends say of two connections: "CLIENT | SERVER", a line each.
pair() { # WHAT VERSION SECOND LINES   SECOND: new or resumed, what the second connection must be
    same "$1" "TLSv$2 new | TLSv$2 new;TLSv$2 $3 | TLSv$2 $3;" "$(tr '\n' ';' <<<"$4" | sed -E 's/ (TLS13|ECDHE|TLS)[-_][-A-Z0-9_]*//g; s/ (http.1.1|no-alpn)//g')"
}

# ---- flux serves: what it says of each connection, beside what the client says ----
for v in 1.2 1.3; do
    start_server "$build/examples/tls_facts" serve 0 a.pem a.key
    once() { # s_client's view, then flux's
        local out
        out=$( (printf 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'; sleep 0.3) | timeout 10 openssl s_client -connect "127.0.0.1:$port" \
            -servername a.test -verify_hostname a.test -CAfile ca.pem -verify_return_error "-tls1_${v#1.}" -ign_eof "$@" 2>&1) || true
        sed -nE "s/^New, (TLSv1.[0-9]), Cipher.*/\1 new/p; s/^Reused, (TLSv1.[0-9]), Cipher.*/\1 resumed/p" <<<"$out" | head -1 | tr '\n' ' '
        echo "| $(tr -d '\r' <<<"$out" | grep -aE '^TLSv1.* (new|resumed)$' | head -1)"
    }
    pair "openssl asks flux" $v resumed "$(once -sess_out session; once -sess_in session)"
    curl -sv --cacert ca.pem "--tlsv$v" --tls-max $v --resolve "a.test:$port:127.0.0.1" "https://a.test:$port/" "https://a.test:$port/" \
        >curl.out 2>curl.err || fail "curl: $(cat curl.err)"
    # curl offers no tickets in TLS 1.2, and flux keeps no session by its number.
    pair "curl asks flux" $v "$([ $v = 1.3 ] && echo resumed || echo new)" "$(awk '
        FNR == NR { if (/re-using session ID/) again = 1; if (/SSL connection using/) { view[++n] = $5 (again ? " resumed" : " new"); again = 0 } next }
        { print view[FNR] " | " $0 }' curl.err curl.out)"
    pair "Node asks flux" $v resumed "$(timeout 20 node peer.js client "$port" $v)"
    pair "Go asks flux" $v resumed "$(timeout 20 ./go_peer client "$port" $v)"
    pair "flux asks flux" $v "$([ $v = 1.3 ] && echo resumed || echo new)" \
        "$("$build/examples/tls_facts" ask "localhost:$port" ca.pem 2 / $v)"
    p=$(free_port)
    nginx_conf "front$v" "server { listen 127.0.0.1:$p; location / { proxy_pass https://127.0.0.1:$port; proxy_http_version 1.1;
        proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_trusted_certificate $work/ca.pem;
        proxy_ssl_session_reuse on; proxy_ssl_protocols TLSv$v; } }"
    wait_for "$p"
    curl -s "http://127.0.0.1:$p/" "http://127.0.0.1:$p/" >nginx.out || fail "nginx as a proxy"
    if grep -q "SSL: TLSv" "front$v/error.log"; then # its own view is in the debug log, where it was built with one
        pair "nginx asks flux" $v resumed "$(awk '
            FNR == NR { if (/SSL: TLSv/) { sub(/.*SSL: /, ""); sub(/,.*/, ""); view[++n] = $0 " new" } if (/SSL reused session/) sub(/new/, "resumed", view[n]); next }
            { print view[FNR] " | " $0 }' "front$v/error.log" nginx.out)"
    else
        same "nginx asks flux" "new resumed " "$(sed 's/.* //' nginx.out | tr '\n' ' ')"
    fi
    kill "$pid"
done

# ---- flux asks: TLS 1.3 sessions are resumed; those of 1.2 are not, by either end (docs/tls.md says why) ----
for v in 1.2 1.3; do
    second=$([ $v = 1.3 ] && echo resumed || echo new)
    ask() { timeout 20 "$build/examples/tls_facts" ask "localhost:$p" ca.pem 2 / "$@"; }
    p=$(free_port)
    openssl s_server -accept "$p" -cert a.pem -key a.key "-tls1_${v#1.}" -www >/dev/null 2>&1 &
    pids+=($!)
    wait_for "$p"
    pair "flux asks openssl" $v $second "$(ask | sed -E 's/\|.*(New|Reused), (TLSv1.[23]), Cipher is.*/| \2 \1/; s/New$/new/; s/Reused$/resumed/')"
    p=$(free_port)
    nginx_conf "back$v" "server { listen 127.0.0.1:$p ssl; ssl_certificate $work/a.pem; ssl_certificate_key $work/a.key;
        ssl_protocols TLSv$v; ssl_session_cache shared:s:1m; location / { return 200 \"\$ssl_protocol \$ssl_session_reused\n\"; } }"
    wait_for "$p"
    pair "flux asks nginx" $v $second "$(ask | sed 's/ r$/ resumed/; s/ \.$/ new/')"
    for peer in "node peer.js" ./go_peer; do
        p=$(free_port)
        # shellcheck disable=SC2086
        $peer server "$p" $v >/dev/null 2>&1 &
        pids+=($!)
        wait_for "$p"
        pair "flux asks $peer" $v $second "$(ask)"
    done
done

# ---- names, and what is refused ----
start_server "$build/examples/https_hello" 0 --cert a.pem a.key --cert b.pem b.key --cert r.pem r.key
s_client() { timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile ca.pem -verify_return_error "$@" 2>&1; }
for version in tls1_2 tls1_3; do
    for name in a b r; do
        out=$(s_client -servername $name.test -verify_hostname $name.test -$version </dev/null) || true
        grep -q "Verify return code: 0 (ok)" <<<"$out" || fail "openssl, $version, $name: $out"
        grep -q "CN = $name" <<<"$out" || fail "openssl, $version: not the certificate of $name"
    done
done
for version in tls1 tls1_1; do
    out=$(s_client -$version -cipher 'ALL:@SECLEVEL=0' </dev/null) || true
    if grep -q "^New, TLSv1" <<<"$out"; then fail "$version was accepted"; fi
done
for cipher in NULL RC4 3DES kRSA ADH CBC CCM ARIA CAMELLIA PSK; do
    out=$(s_client -tls1_2 -cipher "$cipher:@SECLEVEL=0" </dev/null) || true
    if grep -q "^New, TLSv1.2, Cipher is [A-Z]" <<<"$out"; then fail "$cipher was accepted"; fi
done
for version in tls1_2 tls1_3; do
    for group in secp256k1 secp521r1 brainpoolP256r1 X448; do
        out=$(s_client -$version -groups $group </dev/null) || true
        if grep -q "^Server Temp Key" <<<"$out"; then fail "$version: $group was accepted"; fi
        out=$(s_client -$version -groups "$group:X25519" </dev/null) || true
        grep -q "^Server Temp Key: X25519" <<<"$out" || fail "$version: not X25519 with $group before it: $out"
    done
done
same "the number of octets" 1000000 "$(curl -s --cacert ca.pem "https://127.0.0.1:$port/big/1000000" | wc -c)"
same "plain HTTP" "client sent an HTTP request to an HTTPS server" "$(curl -s "http://127.0.0.1:$port/" | tr -d '\r')"
out=$( (sleep 0.3; printf 'R\n'; sleep 0.5) | s_client -servername a.test -tls1_2) || true
grep -q "RENEGOTIATING" <<<"$out" && grep -q "SSL alert number" <<<"$out" || fail "renegotiation is not refused: $out"
out=$( (sleep 0.3; printf 'K\n'; sleep 0.3; printf 'K\n'; sleep 0.3; printf 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'; sleep 0.5) |
    s_client -servername a.test -tls1_3) || true
grep -q "Hello, TLS!" <<<"$out" || fail "no answer after a key update: $out"
stop_server
same "exit status" 0 "$status"

# ---- a stapled OCSP response ----
printf 'V\t350101000000Z\t\t%s\tunknown\t/CN=a\n' "$(openssl x509 -in a.pem -noout -serial | sed s/serial=//)" >index
{
    openssl ocsp -issuer ca.pem -cert a.pem -reqout a.req -no_nonce
    openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin a.req -respout a.ocsp -ndays 30
} >"$work/openssl.log" 2>&1 || fail "$(cat "$work/openssl.log")"
cat a.pem ca.pem >a.chain
start_server "$build/examples/https_hello" 0 --cert a.chain a.key --ocsp a.ocsp --cert b.pem b.key
visit() { (printf 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'; sleep 0.3) | s_client -ign_eof "$@"; }
stapled() { # VERSION: openssl and curl see it, however often they ask; the other host has none
    for _ in 1 2; do # the second one is from what the library remembers
        out=$(visit -servername a.test -"$1" -status) || true
        grep -q "Cert Status: good" <<<"$out" || fail "openssl -status, $1: $out"
        grep -q "Hello, TLS!" <<<"$out" || fail "openssl -status, $1: no answer"
    done
    out=$(visit -servername b.test -"$1" -status) || true
    grep -q "OCSP response: no response sent" <<<"$out" || fail "openssl -status of b.test, $1: $out"
    local number=${1#tls}
    number=${number/_/.}
    same "curl --cert-status, $1" "Hello, TLS!" "$(curl -s --cert-status --cacert ca.pem --tlsv"$number" --tls-max "$number" \
        --resolve "a.test:$port:127.0.0.1" "https://a.test:$port/")"
}
stapled tls1_2
out=$(visit -servername a.test -tls1_3 -status) || true
grep -q "OCSP response: no response sent" <<<"$out" || fail "TLS 1.3 was stapled without being asked for: $out"
grep -q "Hello, TLS!" <<<"$out" || fail "openssl -status, TLS 1.3: no answer"
stop_server
same "exit status" 0 "$status"
# The library leaks for each client that asks a TLS 1.3 server (docs/tls.md), in functions that only have wolfSSL_accept()
# as a name above them: what is allocated in there does not count, all else does. Whole stacks need the slow unwinder.
echo "leak:^wolfSSL_accept$" >accept.suppressions
ASAN_OPTIONS=fast_unwind_on_malloc=0 LSAN_OPTIONS=suppressions=$work/accept.suppressions start_server "$build/examples/https_hello" 0 --cert a.chain a.key --ocsp-1.3 a.ocsp --cert b.pem b.key
stapled tls1_2
stapled tls1_3
stop_server
same "exit status" 0 "$status"

get() { timeout 20 "$build/examples/flux_get" --json --cacert ca.pem "$@" || true; }
p=$(free_port)
openssl s_server -accept "$p" -cert a.pem -key a.key -CAfile ca.pem -Verify 1 -www >/dev/null 2>&1 &
pids+=($!)
wait_for "$p"
grep -q certificate_required <<<"$(get --url "https://127.0.0.1:$p/")" || fail "s_server that wants a certificate"
grep -q '"ok": true' <<<"$(get --url "https://127.0.0.1:$p/" --cert b.pem --key b.key)" || fail "s_server with a certificate"
echo "tls: openssl, curl, Node, Go, nginx and flux ask flux; flux asks openssl, nginx, Node and Go: full and resumed, 1.2 and 1.3"
