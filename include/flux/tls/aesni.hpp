// SPDX-License-Identifier: MIT
// flux/tls/aesni.hpp - AES-GCM with the processor's AES instructions, where the TLS library was built without them.
#pragma once

#include <flux/tls/engine.hpp>

namespace flux::inline FLUX_ABI::tls::detail {

/// Whether the connections of this context encrypt AES with the processor's instructions.
[[nodiscard]] inline bool use_aesni(WOLFSSL_CTX*) noexcept {
#if defined(WOLFSSL_AESNI)
    return true;
#else
    return false;
#endif
}

} // namespace flux::inline FLUX_ABI::tls::detail
