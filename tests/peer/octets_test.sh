#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 100 000 mixed requests in random pieces, one octet at a time included, give the answers of a reference.
. "$(dirname "$0")/server.sh"
need python3
start_server "$build/examples/hello" 0
python3 "$(dirname "$0")/octets.py" "$port" "${FLUX_OCTETS_REQUESTS:-100000}" "${FLUX_SEED:-1}" || fail "see above"
stop_server
same "exit status" 0 "$status"
