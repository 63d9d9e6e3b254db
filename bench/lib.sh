# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the scripts beside it that start servers: a directory of their own, what they need, an end.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
pids=()
finish() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

need() { # TOOL...
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$0 needs $tool"; exit 77; }
    done
}
