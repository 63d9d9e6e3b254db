#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh WAY BUILD_DIR: installs flux from BUILD_DIR where the way needs it, then builds and runs a consumer.
# Reads FLUX_SOURCE_DIR and CXX.
set -euo pipefail
way=$1
build=$2
here=$FLUX_SOURCE_DIR/tests/packaging
export CXX
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Installs, then moves the tree: nothing in it may remember where it was made.
install_moved() {
    cmake --install "$build" --prefix "$work/first" >/dev/null
    mv "$work/first" "$work/prefix"
    if grep -rlF -e "$work/first" -e "$FLUX_SOURCE_DIR" -e "$build" "$work/prefix"; then
        echo "the files above name a directory of the build" >&2
        return 1
    fi
}

cmake_consumer() { # PROJECT [cmake arguments]
    cmake -S "$here/$1" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug "${@:2}" >"$work/log" 2>&1 &&
        cmake --build "$work/build" >>"$work/log" 2>&1 || {
        cat "$work/log"
        return 1
    }
    "$work/build/consumer"
    if [ -x "$work/build/parts" ]; then "$work/build/parts"; fi
}

case $way in
find_package)
    install_moved
    cmake_consumer find_package -DCMAKE_PREFIX_PATH="$work/prefix" -DWANTED_VERSION=0.1
    ;;
version_mismatch)
    install_moved
    if cmake -S "$here/find_package" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" \
        -DWANTED_VERSION=99.0 >"$work/log" 2>&1; then
        echo "version 99.0 was accepted" >&2
        exit 1
    fi
    # CMake breaks long lines anywhere.
    tr -s '\n ' ' ' <"$work/log" | grep -q 'compatible with requested version "99.0"' || { cat "$work/log"; exit 1; }
    ;;
add_subdirectory)
    cmake_consumer add_subdirectory -DFLUX_SOURCE_DIR="$FLUX_SOURCE_DIR"
    ;;
fetch_content)
    cmake_consumer fetch_content -DFETCHCONTENT_FULLY_DISCONNECTED=ON \
        -DFETCHCONTENT_SOURCE_DIR_FLUX="$FLUX_SOURCE_DIR"
    ;;
pkg_config)
    install_moved
    export PKG_CONFIG_PATH=$work/prefix/share/pkgconfig
    # shellcheck disable=SC2046 # the words are meant to be split
    "$CXX" -std=c++20 "$here/consumer.cpp" "$here/other_unit.cpp" $(pkg-config --cflags --libs flux) -o "$work/consumer"
    "$work/consumer"
    # shellcheck disable=SC2046
    "$CXX" -std=c++20 "$here/parts.cpp" $(pkg-config --cflags --libs flux-tls flux-zlib flux-testing) -o "$work/parts"
    "$work/parts"
    [ "$(pkg-config --modversion flux)" = "$(pkg-config --modversion flux-tls)" ]
    ;;
bare)
    # The two lines of the README: one directory, one library.
    for include in include single_include; do
        "$CXX" -std=c++20 -I "$FLUX_SOURCE_DIR/$include" "$here/consumer.cpp" "$here/other_unit.cpp" -luring \
            -o "$work/consumer"
        "$work/consumer"
    done
    ;;
*)
    echo "run.sh: no way named '$way'" >&2
    exit 2
    ;;
esac
