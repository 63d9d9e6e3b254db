#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# testssl.sh against https_hello: its verdicts on protocols, kinds of ciphers, groups and order. docs/tls.md lists the whole.
. "$(dirname "$0")/server.sh"
need testssl openssl
cd "$work" || fail "no directory"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.pem -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null || fail "no certificate"
start_server "$build/examples/https_hello" 0 --cert own.pem own.key
timeout 170 testssl --quiet --color 0 --warnings batch --openssl-timeout 10 --jsonfile found.json -p -s -P -f "https://localhost:$port" \
    >shown.txt 2>&1 || true
found() { # ID: the finding
    awk -v id="\"$1\"" '/"id"/ && index($0, id) { hit = 1 } hit && /"finding"/ { sub(/.*: "/, ""); sub(/",? *$/, ""); print; exit }' found.json
}
for old in SSLv2 SSLv3 TLS1 TLS1_1; do same "$old" "not offered" "$(found $old)"; done
same TLS1_2 offered "$(found TLS1_2)"
grep -q "^offered" <<<"$(found TLS1_3)" || fail "TLS 1.3: $(found TLS1_3)"
for kind in cipherlist_NULL cipherlist_aNULL cipherlist_EXPORT cipherlist_LOW cipherlist_3DES_IDEA cipherlist_AVERAGE; do
    same $kind "not offered" "$(found $kind)"
done
same "groups" "prime256v1 secp384r1 X25519" "$(found PFS_ECDHE_curves)"
! grep -E '"severity" *: *"(MEDIUM|HIGH|CRITICAL)"' -B4 found.json || fail "a finding of weight"
stop_server
same "exit status" 0 "$status"
echo "testssl.sh: no weak protocol, cipher or group"
