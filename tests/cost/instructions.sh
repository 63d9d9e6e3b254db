#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# User instructions per hello request, octets in to octets out, against a limit.
#   instructions.sh PROGRAM LIMIT
set -euo pipefail
program=$1 limit=$2
command -v valgrind >/dev/null || { echo "valgrind is missing: skipped"; exit 77; }
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
few=$(count 1000)
many=$(count 3000)
each=$(((many - few) / 2000))
echo "$each user instructions per request (limit $limit)"
[ "$each" -gt 0 ] && [ "$each" -le "$limit" ]
