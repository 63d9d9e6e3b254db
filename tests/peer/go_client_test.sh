#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Go's net/http client: keep-alive reuse, concurrency, HEAD, bodies that the server refuses, exact answers.
. "$(dirname "$0")/server.sh"
need go
start_server "$build/examples/hello" 0
cp "$(dirname "$0")/go_client.go" "$work/main.go"
(cd "$work" && GO111MODULE=off GOFLAGS= GOCACHE="${GOCACHE:-$work/cache}" go build -o client main.go) || fail "go build"
"$work/client" "http://127.0.0.1:$port" || fail "see above"
stop_server
same "exit status" 0 "$status"
