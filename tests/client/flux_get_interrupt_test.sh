#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGINT in every phase of a request, to the program flux_get.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is missing: skipped"; exit 77; }
exec python3 "$(dirname "$0")/flux_get_interrupt.py" "${FLUX_BUILD_DIR:?set by ctest}/examples/flux_get"
