// SPDX-License-Identifier: MIT
// Queries and forms from any octets: pairs lie in the text, lookup and decoding agree, and what is written is read.
#include <flux/http/message/form.hpp>
#include <flux/http/message/query.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

void check_pairs(std::string_view text) {
    std::size_t count = 0;
    const char* at = text.data();
    for (const http::query_pair& p : http::query_pairs(text)) {
        ++count;
        require(p.raw_name.data() >= at && p.raw_name.find_first_of("&=") == std::string_view::npos, "a name is one piece");
        require(p.raw_value.find('&') == std::string_view::npos && (p.has_value || p.raw_value.empty()), "a value is one piece");
        at = p.raw_name.data() + p.raw_name.size();
        require(at <= text.data() + text.size(), "a pair lies in its text");
        require(p.name().size() <= p.raw_name.size() && p.value().size() <= p.raw_value.size(), "decoding adds nothing");
    }
    http::form f;
    const bool is_form = from_body(text, f).has_value();
    require(is_form == (count <= http::form::max_fields), "only too many fields are no form");
    if (!is_form) {
        return;
    }
    require(f.size() == count, "a form has every pair");
    http::query_builder b;
    for (const auto& [name, value] : f.pairs()) {
        require(f.get(name) == http::query_value(text, name), "a form and a query have the same values");
        b.add(name, value);
    }
    http::form again;
    require(from_body(b.text(), again).has_value() && again.pairs() == f.pairs(), "a form is read as it was written");
}

void check_octets(std::string_view text) {
    require(http::percent_decode(http::percent_encode(text)) == text, "encoding can be undone");
    if (const auto strict = http::try_percent_decode(text)) {
        require(*strict == http::percent_decode(text), "strict decoding is the same where it succeeds");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::exact_copy copy(std::string_view(reinterpret_cast<const char*>(data), size));
    check_pairs(copy.view());
    check_octets(copy.view());
    return 0;
}
