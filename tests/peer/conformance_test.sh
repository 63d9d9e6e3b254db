#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The request corpus goes to flux, nginx and Node; every disagreement is listed with its reason in docs/conformance.md.
. "$(dirname "$0")/server.sh"
need python3 nginx node
start_server "$build/examples/inspect_server" 0
timeout 300 python3 "$(dirname "$0")/conformance.py" "$port" "$@" || fail "see above"
stop_server
same "exit status" 0 "$status"
