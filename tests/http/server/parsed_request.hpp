// SPDX-License-Identifier: MIT
// tests/http/server/parsed_request.hpp - a request made from its octets, as a connection would.
#pragma once

#include <flux/http/message/request.hpp>
#include <flux/http/wire/request_parser.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace test_support {

/// `parsed_request r("GET /x HTTP/1.1");` adds Host (unless `fields` has one) and the empty line.
class parsed_request {
public:
    explicit parsed_request(std::string_view line, std::string_view fields = "Host: example.com\r\n")
        : octets_(std::string(line) + "\r\n" + std::string(fields) + "\r\n") {
        if (parser_.parse(octets_) != flux::http::parse_state::done) {
            throw std::logic_error("not a request: " + octets_);
        }
        request_.assign(parser_.head(octets_), nullptr);
    }
    parsed_request(const parsed_request&) = delete;
    parsed_request& operator=(const parsed_request&) = delete;

    flux::http::request& operator*() noexcept { return request_; }
    flux::http::request* operator->() noexcept { return &request_; }
    operator flux::http::request&() noexcept { return request_; }

    /// Copies the octets to another address, as a connection does before a handler may suspend.
    void move_octets() {
        std::string elsewhere(octets_);
        request_.rebase(parser_.head(elsewhere));
        octets_.assign(octets_.size(), '\xee');
        octets_.swap(elsewhere);
    }

private:
    std::string octets_;
    flux::http::limits limits_;
    flux::http::field_storage entries_;
    flux::http::request_parser parser_{limits_, entries_};
    flux::http::request request_;
};

} // namespace test_support
