#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# wrk sees no error, with one worker and with two, and pipelined.
. "$(dirname "$0")/server.sh"
need wrk
cat >"$work/pipeline.lua" <<'LUA'
init = function(args)
  local r = {}
  for i = 1, 16 do r[i] = wrk.format("GET", "/hello/" .. i) end
  requests = table.concat(r)
end
request = function() return requests end
LUA
for workers in 1 2; do
    start_server "$build/examples/hello" 0 --workers "$workers"
    for options in "-c64" "-c300" "-c32 -s $work/pipeline.lua"; do
        # shellcheck disable=SC2086
        wrk -t1 -d1 $options "http://127.0.0.1:$port/" >"$work/wrk"
        grep -q 'requests in' "$work/wrk" || fail "wrk did not run: $(cat "$work/wrk")"
        ! grep -Eq 'Non-2xx|Socket errors' "$work/wrk" || fail "$options, $workers workers: $(cat "$work/wrk")"
    done
    stop_server
    same "exit status" 0 "$status"
done
echo "wrk: no error"
