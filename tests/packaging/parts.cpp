// SPDX-License-Identifier: MIT
// Linked with every optional part: the macros are set, and the libraries behind them can be reached.
#if FLUX_WITH_TLS
#include <wolfssl/options.h>
#include <wolfssl/version.h>
#include <wolfssl/ssl.h>
#endif
#if FLUX_WITH_ZLIB
#include <zlib.h>
#endif
#if !FLUX_WITH_TLS || !FLUX_WITH_ZLIB || !FLUX_WITH_TESTING
#error "linking an optional part has to set its macro"
#endif
#include <flux.hpp>

#include <cstdio>

int main() {
    std::printf("wolfSSL %s, zlib %s\n", wolfSSL_lib_version(), zlibVersion());
    return 0;
}
