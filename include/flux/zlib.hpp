// SPDX-License-Identifier: MIT
// flux/zlib.hpp - gzip and deflate: coding and decoding of content, for servers and clients. Needs zlib.
//
// Deliberately not here: other codings; what a message says about its coding (http/message/content_coding.hpp).
#pragma once

// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---
#include <flux/zlib/coding.hpp>
#include <flux/zlib/decoder.hpp>
#include <flux/zlib/body.hpp>
#include <flux/zlib/client_decoding.hpp>
#include <flux/zlib/encoder.hpp>
#include <flux/zlib/compress.hpp>
// --- end of the include list ---
