// SPDX-License-Identifier: MIT
// flux/tls/connection_facts.hpp - what a handshake has settled, for handlers and for those who ask.
//
//     if (const auto* tls = req.tls(); tls != nullptr && tls->peer) { ... tls->peer->uris ... }
//
// Made when it is first asked for. Deliberately not here: anything that changes while a connection lasts.
#pragma once

#include <flux/tls/certificate.hpp>
#include <flux/tls/fingerprint.hpp>

#include <optional>
#include <string>

namespace flux::inline FLUX_ABI::tls {

/// The TLS of one connection.
struct connection_facts {
    std::string version;         ///< "TLSv1.3"
    std::string suite;           ///< "TLS13-AES128-GCM-SHA256", as the library calls it
    std::string protocol;        ///< ALPN's choice; empty: none
    std::string server_name;     ///< what the client asked for; the host at a client
    bool resumed = false;
    std::optional<certificate> peer; ///< the peer's own certificate, also in a resumed session; nothing where it showed none
    std::string peer_der;
    std::string peer_fingerprint;    ///< SHA-256 of it, hexadecimal
    std::optional<client_hello> hello; ///< at a server: what the client said about itself
    std::string client_fingerprint;    ///< at a server: JA4 of it
};

} // namespace flux::inline FLUX_ABI::tls
