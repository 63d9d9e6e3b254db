// SPDX-License-Identifier: MIT
// flux/tls.hpp - TLS 1.2 and 1.3 over wolfSSL: streams, https servers and clients. Needs wolfSSL 5.5 or later.
//
// wolfSSL's headers bring some 6 000 macros: include this in as few translation units as you can, and never together
// with OpenSSL's headers. Deliberately not here: DTLS, TLS 1.1 and older.
#pragma once

// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---
#include <flux/tls/error.hpp>
#include <flux/tls/library.hpp>
#include <flux/tls/aesni.hpp>
#include <flux/tls/certificate.hpp>
#include <flux/tls/client_hello.hpp>
#include <flux/tls/sha256ni.hpp>
#include <flux/tls/key_schedule.hpp>
#include <flux/tls/crypto_device.hpp>
#include <flux/tls/pem.hpp>
#include <flux/tls/settings.hpp>
#include <flux/tls/verify.hpp>
#include <flux/tls/context_core.hpp>
#include <flux/tls/peer_judge.hpp>
#include <flux/tls/zero_pages.hpp>
#include <flux/tls/engine.hpp>
#include <flux/tls/ocsp_staple.hpp>
#include <flux/tls/fingerprint.hpp>
#include <flux/tls/ticket_keys.hpp>
#include <flux/tls/context.hpp>
#include <flux/tls/certificate_table.hpp>
#include <flux/tls/certificate_files.hpp>
#include <flux/tls/session_cache.hpp>
#include <flux/tls/client_opening.hpp>
#include <flux/tls/connection_facts.hpp>
#include <flux/tls/input_watch.hpp>
#include <flux/tls/record_pipe.hpp>
#include <flux/tls/server_opening.hpp>
#include <flux/tls/stream_core.hpp>
#include <flux/tls/stream.hpp>
#include <flux/tls/connector.hpp>
#include <flux/tls/listener.hpp>
#include <flux/tls/self_signed.hpp>
#include <flux/tls/https.hpp>
// --- end of the include list ---
