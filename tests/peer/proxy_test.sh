#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# flux_get through real proxies: tinyproxy (absolute-form and CONNECT, with and without credentials, refusals) and
# microsocks (SOCKS 5, names and addresses), plain and with TLS to the target.
. "$(dirname "$0")/server.sh"
. "$(dirname "$0")/ports.sh"
need tinyproxy microsocks python3 openssl
get=$build/examples/flux_get

start_tinyproxy() { # NAME LINE...: sets port_of_proxy
    local name=$1
    shift
    port_of_proxy=$(free_port)
    {
        printf 'Port %s\nListen 127.0.0.1\nTimeout 20\nLogFile "%s"\nLogLevel Info\nPidFile "%s"\n' "$port_of_proxy" "$work/$name.log" "$work/$name.pid"
        printf '%s\n' "$@"
    } >"$work/$name.conf"
    tinyproxy -d -c "$work/$name.conf" >/dev/null 2>&1 &
    pids+=($!)
    wait_for "$port_of_proxy"
}
start_socks() { # ARGS...: sets port_of_proxy
    port_of_proxy=$(free_port)
    microsocks -i 127.0.0.1 -p "$port_of_proxy" "$@" >/dev/null 2>&1 &
    pids+=($!)
    wait_for "$port_of_proxy"
}
field() { # NAME: of the JSON object on the last line of standard input
    python3 -c 'import base64, json, sys
o = json.loads(sys.stdin.read().splitlines()[-1])
k = sys.argv[1]
if k == "body":
    print(base64.b64decode(o["body_b64"]).decode(), end="")
elif k in ("class", "error_detail"):
    print((o["error"] or {}).get(k))
else:
    print(o[k])' "$1"
}

start_server "$build/examples/hello" 0
origin=$port

start_tinyproxy open 'ConnectPort 443'
open=$port_of_proxy
same "absolute-form" "Hello, World!" "$("$get" --url "http://127.0.0.1:$origin/" --proxy "http://127.0.0.1:$open")"
same "a name" "Hello, World!" "$("$get" --url "http://localhost:$origin/" --proxy "127.0.0.1:$open")"
grep -q "GET http://127.0.0.1:$origin/" "$work/open.log" || fail "tinyproxy has not seen an absolute-form: $(cat "$work/open.log")"
out=$("$get" --url "http://127.0.0.1:1/" --proxy "http://127.0.0.1:$open" --json || true)
same "what the proxy answers for a target that refuses" "500" "$(field status <<<"$out")"
out=$("$get" --url "https://127.0.0.1:$origin/" --proxy "http://127.0.0.1:$open" --json || true)
same "CONNECT to a port that is not allowed: class" "http" "$(field class <<<"$out")"
field error_detail <<<"$out" | grep -q "CONNECT 127.0.0.1:$origin through 127.0.0.1:$open: 403 .*the proxy refused the connection" ||
    fail "CONNECT to a port that is not allowed: $(field error_detail <<<"$out")"

start_tinyproxy locked "BasicAuth me secret"
locked=$port_of_proxy
same "credentials" "Hello, World!" "$("$get" --url "http://127.0.0.1:$origin/" --proxy "http://m%65:secret@127.0.0.1:$locked")"
out=$("$get" --url "http://127.0.0.1:$origin/" --proxy "http://127.0.0.1:$locked" --json || true)
same "no credentials: the proxy's own answer" "407" "$(field status <<<"$out")"
out=$("$get" --url "https://127.0.0.1:$origin/" --proxy "http://me:wrong@127.0.0.1:$locked" --json || true)
field error_detail <<<"$out" | grep -q "40[17] .*the proxy wants other credentials" ||
    fail "wrong credentials for CONNECT: $(field error_detail <<<"$out")"

# TLS to the target, through each kind of proxy.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
secure=$(free_port)
(cd "$work" && exec openssl s_server -quiet -accept "127.0.0.1:$secure" -cert cert.pem -key key.pem -WWW) >/dev/null 2>&1 &
pids+=($!)
wait_for "$secure"
echo "over TLS" >"$work/page"
start_tinyproxy tunnel
tunnel=$port_of_proxy
same "CONNECT, TLS to the target" "over TLS" "$("$get" --url "https://localhost:$secure/page" --cacert "$work/cert.pem" --proxy "http://127.0.0.1:$tunnel")"
grep -q "CONNECT localhost:$secure" "$work/tunnel.log" || fail "tinyproxy has not seen the name: $(cat "$work/tunnel.log")"

start_socks
socks=$port_of_proxy
same "SOCKS 5, an address" "Hello, World!" "$("$get" --url "http://127.0.0.1:$origin/" --proxy "socks5://127.0.0.1:$socks")"
same "SOCKS 5, a name" "Hello, World!" "$("$get" --url "http://localhost:$origin/" --proxy "socks5h://127.0.0.1:$socks")"
same "SOCKS 5, TLS to the target" "over TLS" "$("$get" --url "https://localhost:$secure/page" --cacert "$work/cert.pem" --proxy "socks5://127.0.0.1:$socks")"
start_server "$build/examples/https_hello" 0 --cert "$work/cert.pem" "$work/key.pem"
for through in "http://127.0.0.1:$tunnel" "socks5h://127.0.0.1:$socks"; do
    same "https_hello through $through" "Hello, TLS!" "$("$get" --url "https://localhost:$port/" --cacert "$work/cert.pem" --proxy "$through")"
    out=$("$get" --url "https://localhost:$port/" --proxy "$through" --json || true)
    same "https_hello through $through, not trusted: class" tls "$(field class <<<"$out")"
done
out=$("$get" --url "http://127.0.0.1:1/" --proxy "socks5://127.0.0.1:$socks" --json || true)
same "SOCKS 5, the target refuses: class" "network" "$(field class <<<"$out")"
field error_detail <<<"$out" | grep -q "connection refused: the proxy cannot reach the target" ||
    fail "SOCKS 5, the target refuses: $(field error_detail <<<"$out")"
start_socks -u me -P secret
same "SOCKS 5, user and password" "Hello, World!" "$("$get" --url "http://127.0.0.1:$origin/" --proxy "socks5://me:secret@127.0.0.1:$port_of_proxy")"
for who in "" "me:wrong@"; do
    out=$("$get" --url "http://127.0.0.1:$origin/" --proxy "socks5://${who}127.0.0.1:$port_of_proxy" --json || true)
    field error_detail <<<"$out" | grep -q "the proxy wants other credentials" || fail "SOCKS 5, user \"$who\": $(field error_detail <<<"$out")"
done

out=$("$get" --url "http://127.0.0.1:$origin/" --proxy "http://127.0.0.1:1" --json || true)
same "nobody is the proxy" "network proxy 127.0.0.1:1: connect 127.0.0.1:1: Connection refused" \
    "$(field class <<<"$out") $(field error_detail <<<"$out" | sed 's/.*: proxy /proxy /')"
out=$("$get" --url "http://127.0.0.1:$origin/" --proxy "gopher://p" --json || true)
same "what is no proxy" "usage" "$(field class <<<"$out")"
echo "proxies: tinyproxy and microsocks do what they are asked"
