// SPDX-License-Identifier: MIT
// flux/http/wire/head_parser.hpp - request heads and response heads from octets, in as many pieces as they come.
//
//   octets so far -> parse() -> need_more ... need_more -> done -> head()     no copy, offsets until done
//                                                      \-> failed -> error()  code, offset, status to answer
//
// The caller keeps all octets of the head in one buffer and calls parse() again when it has grown; the buffer may
// have moved. Every octet is judged once. Any way to cut the input gives the same outcome, offset included.
// Strict by design, with no switch to be lenient: bare CR or LF, NUL, obs-fold, whitespace around names, lines
// without colon, malformed versions are errors. What RFC 9112 lets a recipient forgive, an attacker can use.
// Deliberately not here: the length of the body (framing.hpp), chunked coding (chunked.hpp), I/O.
#pragma once

#include <flux/http/wire/request_parser.hpp>
#include <flux/http/wire/response_parser.hpp>
