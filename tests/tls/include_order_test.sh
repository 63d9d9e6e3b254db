#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A header of wolfSSL before <wolfssl/options.h> gives its structures other sizes than the library has: flux refuses that.
set -euo pipefail
include=${FLUX_SOURCE_DIR:?set by ctest}/include
preprocess() { printf '#include <%s>\n' "$@" | "${CXX:-c++}" -std=c++20 -I "$include" -E -x c++ - 2>&1 >/dev/null; }
preprocess wolfssl/options.h >/dev/null || { echo "no wolfSSL: skipped"; exit 77; }
for first in wolfssl/options.h flux/tls.hpp; do
    said=$(preprocess "$first" wolfssl/ssl.h flux/tls.hpp) || { echo "FAILED: after $first: $said" >&2; exit 1; }
done
for first in wolfssl/ssl.h wolfssl/wolfcrypt/sha256.h wolfssl/wolfcrypt/settings.h; do
    if said=$(preprocess "$first" flux/tls.hpp); then
        echo "FAILED: $first before <wolfssl/options.h> was accepted" >&2
        exit 1
    fi
    grep -q "<wolfssl/options.h> must come before every other wolfSSL header" <<<"$said" || { echo "FAILED: $first: $said" >&2; exit 1; }
done
