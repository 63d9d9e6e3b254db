#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every case of cases/ through the program flux_get, over sockets.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is missing: skipped"; exit 77; }
exec python3 "$(dirname "$0")/flux_get.py" "${FLUX_BUILD_DIR:?set by ctest}/examples/flux_get"
