#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# curl follows the events of sse_clock, comes back with Last-Event-ID, and gets a whole answer when the server drains.
. "$(dirname "$0")/server.sh"
need curl
start_server "$build/examples/sse_clock" 0
curl -sN --max-time 60 -H 'Last-Event-ID: 41' -o "$work/events" "http://127.0.0.1:$port/time" &
client=$!
for _ in $(seq 500); do
    [ "$(grep -c '^data: ' "$work/events" 2>/dev/null || true)" -ge 2 ] 2>/dev/null && break
    sleep 0.02
done
same "the first event" "id: 42" "$(grep -m1 '^id: ' "$work/events")"
same "its type" "event: time" "$(grep -m1 '^event: ' "$work/events")"
stop_server
same "exit status after SIGTERM" 0 "$status"
ended=0
wait "$client" || ended=$?
same "curl's exit status" 0 "$ended"
same "the second event" "id: 43" "$(grep -m2 '^id: ' "$work/events" | tail -1)"
echo "events: $(grep -c '^data: ' "$work/events") came, and the stream ended whole"
