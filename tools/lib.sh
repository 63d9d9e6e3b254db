# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Shared by the scripts of tools/: packages, messages. To be sourced.

say() { printf '== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Everything that building, testing, checking and showing flux takes, as Debian packages.
FLUX_PACKAGES="g++ cmake ninja-build ccache pkg-config python3 liburing-dev libwolfssl-dev zlib1g-dev doctest-dev
libbenchmark-dev clang-14 clang-19 libclang-rt-14-dev libclang-rt-19-dev curl wrk nginx-light haproxy golang-go valgrind
dnsmasq-base tinyproxy-bin microsocks openssl testssl.sh"

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

# Addresses of package servers are the machine's business, not the log's.
without_addresses() { sed -E 's#[a-z]+://[^ ]*#<address>#g; s#([A-Za-z0-9-]+\.)+[a-z]{2,}\b#<host>#g'; }

# install_missing PACKAGE...: installs what is not there yet. Services that a package brings are not started.
install_missing() {
    local missing=() package
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing: ${missing[*]}"
    command -v apt-get >/dev/null || die "needs these Debian packages or their like: ${missing[*]}"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo; please install: ${missing[*]}"
        sudo true || die "sudo refuses; please install: ${missing[*]}"
        root=(sudo)
    fi
    local log policy=/usr/sbin/policy-rc.d made_policy=no status=0
    log=$(mktemp)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
        "${root[@]}" chmod +x $policy
        made_policy=yes
    fi
    { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"
    } >"$log" 2>&1 </dev/null || status=$?
    [ $made_policy = no ] || "${root[@]}" rm -f $policy
    if [ $status -ne 0 ]; then
        grep -E '^(E|W|Err|dpkg):?' "$log" | without_addresses >&2 || true
        rm -f "$log"
        die "apt-get failed with status $status"
    fi
    rm -f "$log"
}

install_everything() {
    # shellcheck disable=SC2086 # the words are meant to be split
    install_missing $FLUX_PACKAGES
    # Any Node.js does; only where there is none, Debian's is taken.
    command -v node >/dev/null || install_missing nodejs
}

# Sanitizer runtimes of older compilers cannot place their shadow memory under wide address randomisation.
fixed_addresses() {
    if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}

io_uring_works() {
    python3 -c 'import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.syscall(425, 4, ctypes.create_string_buffer(120)) < 0)' # 425: io_uring_setup
}
