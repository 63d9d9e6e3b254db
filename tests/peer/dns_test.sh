#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The resolver asks a real name server: dnsmasq, with addresses of both families, aliases, names that do not exist,
# and answers too long for UDP.
. "$(dirname "$0")/server.sh"
need dnsmasq python3
. "$(dirname "$0")/ports.sh"
port=$(free_port)
{
    printf 'port=%s\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\nkeep-in-foreground\n' "$port"
    printf 'user=\nlog-queries\nlog-facility=%s\nlocal=/test/\nlocal-ttl=60\n' "$work/log"
    printf 'host-record=both.test,192.0.2.1,2001:db8::1\nhost-record=four.test,192.0.2.4\nhost-record=six.test,2001:db8::6\n'
    printf 'host-record=db.zone.test,192.0.2.9\nhost-record=a.b,192.0.2.10\nhost-record=a.b.zone.test,192.0.2.11\nlocal=/b/\nlocal=/db/\n'
    printf 'cname=alias.test,second.test\ncname=second.test,both.test\n'
    for i in $(seq 60); do printf 'host-record=many.test,192.0.2.%s,2001:db8::%x\n' "$i" "$i"; done
} >"$work/conf"
dnsmasq --conf-file="$work/conf" >"$work/out" 2>&1 &
pids+=($!)
for _ in $(seq 500); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "${pids[-1]}" 2>/dev/null || { cat "$work/out" >&2; fail "dnsmasq ended"; }
    sleep 0.02
done

# look_up HOST...: as resolve, the addresses of each line in order.
look_up() {
    FLUX_RESOLVE_SERVER=127.0.0.1:$port "$build/examples/resolve" "$@" |
        python3 -c 'import sys
for line in sys.stdin:
    host, *all = line.split()
    print(host, *sorted(all))'
}
same "both families" "both.test 192.0.2.1 [2001:db8::1]" "$(look_up both.test)"
same "IPv4 only" "four.test 192.0.2.4" "$(look_up four.test)"
same "IPv6 only" "six.test [2001:db8::6]" "$(look_up six.test)"
same "aliases" "alias.test 192.0.2.1 [2001:db8::1]" "$(look_up alias.test)"
same "letters in any case, a final dot" "BOTH.Test. 192.0.2.1 [2001:db8::1]" "$(look_up BOTH.Test.)"
same "many at a time" "4" "$(look_up both.test four.test six.test alias.test | wc -l)"
same "a datagram has no room for 60 addresses: the answer is truncated" True "$(python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
name = b"".join(bytes([len(x)]) + x for x in (b"many", b"test", b""))
options = bytes([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])  # EDNS, 1232 octets
query = bytes([1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]) + name + bytes([0, 28, 0, 1]) + options
s.sendto(query, ("127.0.0.1", int(sys.argv[1])))
print(s.recv(4096)[2] & 2 == 2)' "$port")"
same "120 addresses, so over TCP" "121" "$(look_up many.test | wc -w)"
export FLUX_RESOLVE_SEARCH=zone.test
same "search: a short name in the zone first" "db 192.0.2.9" "$(look_up db)"
same "search: a name with a dot as it is first" "a.b 192.0.2.10" "$(look_up a.b)"
same "search: a final dot is the end" "resolve db.: no such host" "$(FLUX_RESOLVE_SERVER=127.0.0.1:$port "$build/examples/resolve" db. 2>&1 || true)"
grep -q "query\[A\] db.zone.test" "$work/log" || fail "the zone was not searched"
unset FLUX_RESOLVE_SEARCH
same "no such host" "resolve nothing.test: no such host" "$(FLUX_RESOLVE_SERVER=127.0.0.1:$port "$build/examples/resolve" nothing.test 2>&1 || true)"
same "localhost is not asked for" "localhost 127.0.0.1 [::1]" "$(look_up localhost)"
grep -q localhost "$work/log" && fail "dnsmasq was asked for localhost"
echo "dns: dnsmasq is understood"
