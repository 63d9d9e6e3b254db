// SPDX-License-Identifier: MIT
// flux/tls.hpp - TLS 1.2 and 1.3 over wolfSSL: streams, https servers and clients. Needs wolfSSL 5.5 or later.
//
// wolfSSL's headers bring some 6 000 macros: include this in as few translation units as you can, and never together
// with OpenSSL's headers. Deliberately not here: DTLS, TLS 1.1 and older.
#pragma once

// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---
// --- end of the include list ---
