#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Certificates that live five seconds are replaced under load, in place and in halves: wrk, a connection for each
# request, sees no failure; every new pair is served; half a pair never is.
. "$(dirname "$0")/server.sh"
need openssl curl wrk
cd "$work" || fail "no directory"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
at() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n[e]\n%s\n' \
    'subjectAltName=DNS:a.test,IP:127.0.0.1' >ca.cnf
: >index
pair() { # makes new.pem and new.key, which live for five seconds
    key new.key
    openssl req -new -key new.key -subj /CN=a.test -out new.csr
    openssl ca -batch -notext -config ca.cnf -in new.csr -out new.pem -md sha256 -extensions e -cert ca.pem -keyfile ca.key \
        -startdate "$(at '-1 minute')" -enddate "$(at '+5 seconds')"
}
made() { pair >log 2>&1 || fail "$(cat log)"; serial=$(openssl x509 -in new.pem -noout -serial); }
key ca.key
openssl req -x509 -new -key ca.key -days 30 -subj /CN=ca -out ca.pem >log 2>&1 || fail "$(cat log)"
made
cp new.pem live.pem
cp new.key live.key
start_server "$build/examples/cert_reload" live.pem live.key 0
served() { openssl s_client -connect "127.0.0.1:$port" -servername a.test </dev/null 2>/dev/null | openssl x509 -noout -serial 2>/dev/null || true; }
same "the first pair" "$serial" "$(served)"
wrk -t1 -c8 -d"${SECONDS_OF_LOAD:-12}s" -H 'Connection: close' "https://127.0.0.1:$port/" >wrk.out 2>&1 &
load=$!
pids+=("$load")
rounds=0
slowest=0
while kill -0 "$load" 2>/dev/null; do
    before=$(served)
    made
    half=$(($(stat -c %s new.pem) / 2))
    head -c "$half" new.pem >live.pem
    sleep 0.7 # longer than the server looks away
    [ "$(served)" = "$before" ] || fail "half a certificate changed what is served"
    cp new.pem live.pem # its key is still the old one
    sleep 0.7
    [ "$(served)" = "$before" ] || fail "half a pair changed what is served"
    cp new.key live.key
    begun=$(date +%s%N)
    for _ in $(seq 200); do
        [ "$(served)" = "$serial" ] && break
        sleep 0.02
    done
    [ "$(served)" = "$serial" ] || fail "the new pair is not served: $(curl -sk "https://127.0.0.1:$port/status")"
    took=$((($(date +%s%N) - begun) / 1000000))
    slowest=$((took > slowest ? took : slowest))
    rounds=$((rounds + 1))
done
wait "$load" || fail "wrk: $(cat wrk.out)"
if grep -E 'Socket errors|Non-2xx' wrk.out; then fail "wrk: $(cat wrk.out)"; fi
requests=$(awk '/requests in/ { print $1 }' wrk.out)
[ "${requests:-0}" -gt 100 ] && [ "$rounds" -ge 2 ] || fail "too little happened: $rounds pairs, $(cat wrk.out)"
status_text=$(curl -sk "https://127.0.0.1:$port/status")
grep -Eq "expires in -?[0-9]+ s, [0-9]+ reloads, [0-9]+ failures" <<<"$status_text" || fail "$status_text"
grep -q "last failure" <<<"$status_text" && fail "a failure is left: $status_text"
stop_server
same "exit status" 0 "$status"
echo "tls rotation: $requests requests, none failed; $rounds pairs, each served after $slowest ms at most ($status_text)"
