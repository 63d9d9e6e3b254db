// SPDX-License-Identifier: MIT
// tests/client/account.hpp - what a client made of a response, in the words of the corpus.
#pragma once

#include <flux/http/client/client.hpp>

#include <string>
#include <vector>

#include "http/wire/corpus.hpp"

namespace client_account {

namespace http = flux::http;

inline std::string outcome_of(const flux::error& e) {
    if (e.code().category() != http::http_category()) {
        return "failed: " + e.message();
    }
    const auto code = static_cast<http::errc>(e.code().value());
    if (code == http::errc::incomplete_head || code == http::errc::incomplete_body) {
        return "more";
    }
    const http::errc_info& info = http::describe(code);
    return "error " + std::to_string(to_number(info.answer)) + " " + std::string(info.name);
}

// In the words of the corpus.
inline flux::task<> account(http::client_response* r, std::vector<std::string>* log) {
    log->push_back("head " + std::to_string(to_number(r->code())) +
                   (r->version() == http::version::http_1_0 ? " 1.0 " : " 1.1 ") + corpus::or_dash(r->reason()));
    for (const http::field_view f : r->fields()) {
        log->push_back("field " + corpus::printable(f.name) + ":" + (f.value.empty() ? "" : " ") +
                       corpus::printable(f.value));
    }
    std::string data;
    std::string outcome = "end";
    for (;;) {
        const auto piece = co_await flux::attempt(r->body().next());
        if (!piece) {
            outcome = outcome_of(piece.error());
            break;
        }
        if (piece->empty()) {
            break;
        }
        data += *piece;
    }
    if (!data.empty()) {
        log->push_back("data " + corpus::printable(data));
    }
    if (outcome == "end") {
        for (const http::field_view f : r->trailers()) {
            log->push_back("trailer " + corpus::printable(f.name) + ": " + corpus::printable(f.value));
        }
    }
    log->push_back(outcome);
}

} // namespace client_account
