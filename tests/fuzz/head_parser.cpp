// SPDX-License-Identifier: MIT
// A head that comes in pieces is judged like one that comes whole: same outcome, same place, same parts.
// First octet: how it is cut, and by which limits it is judged. The rest: one request or response head.
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/head_parser.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;

bool inside(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

std::string describe(const http::fields_view& fields, std::string_view all) {
    std::string out;
    for (const http::field_view f : fields) {
        fuzz::require(inside(f.name, all) && inside(f.value, all), "a field lies in the octets of the head");
        fuzz::require(http::is_token(f.name), "a field name is a token");
        fuzz::require(http::all(f.value, http::octet_class::field_value), "a field value has no control octet");
        fuzz::require(http::trim(f.value) == f.value, "a field value has no whitespace around it");
        fuzz::require(f.id == http::to_field(f.name), "a known name is known");
        fuzz::require(f.id == http::field::other || fields.present().contains(f.id), "a known name is present");
        ((out += f.name) += ':') += f.value;
        out += '\n';
    }
    return out;
}
std::string describe(const http::body_framing& body) {
    return std::to_string(static_cast<int>(body.kind)) + ' ' + std::to_string(body.length) + ' ' +
           std::to_string(static_cast<int>(body.error.code)) + ' ' + std::to_string(body.error.offset) + '\n';
}

std::string describe(const http::request_head& h, std::string_view all) {
    fuzz::require(inside(h.target, all) && !h.target.empty(), "a target lies in the octets of the head");
    fuzz::require(h.version == http::version::http_1_0 || !h.authority.empty(), "HTTP/1.1 has an authority");
    fuzz::require(h.authority.empty() || http::split_host_port(h.authority).valid, "an authority is valid");
    fuzz::require(http::body_length(h).kind != http::body_kind::until_close, "no request ends with its connection");
    std::string out(h.method_token);
    ((((out += ' ') += h.target) += ' ') += h.authority) += ' ';
    (((out += h.path) += '?') += h.query) += '\n';
    out += static_cast<char>('0' + static_cast<int>(h.form));
    out += static_cast<char>('0' + static_cast<int>(h.version) % 10);
    out += http::connection_of(h).persistent ? 'k' : 'c';
    return out + describe(http::body_length(h)) + describe(h.fields, all);
}
std::string describe(const http::response_head& h, std::string_view all) {
    fuzz::require(http::to_number(h.status) >= 100 && http::to_number(h.status) <= 999, "a status has three digits");
    std::string out = std::to_string(http::to_number(h.status));
    out += static_cast<char>('0' + static_cast<int>(h.version) % 10);
    (out += h.reason) += '\n';
    return out + describe(http::body_length(h, http::method::get)) + describe(h.fields, all);
}

template <class Parser>
std::string outcome(Parser& parser, http::parse_state s, std::string_view all) {
    switch (s) {
    case http::parse_state::need_more:
        return "more";
    case http::parse_state::failed:
        fuzz::require(parser.error().offset <= all.size(), "an error lies in the octets");
        return "error " + std::to_string(static_cast<int>(parser.error().code)) + " at " +
               std::to_string(parser.error().offset);
    case http::parse_state::done:
        return "end " + std::to_string(parser.consumed()) + '\n' + describe(parser.head(all), all);
    }
    return {};
}

template <class Parser>
void check(const http::limits& lim, fuzz::seeded_input in) {
    http::field_storage storage;
    Parser parser(lim, storage);
    const fuzz::exact_copy whole(in.octets);
    const std::string expected = outcome(parser, parser.parse(whole.view()), whole.view());
    fuzz::require(expected != "more" || in.octets.size() < lim.head_octets, "no head is awaited beyond its limit");

    parser.reset();
    fuzz::segmentation cut(in.seed);
    std::size_t size = 0;
    http::parse_state s = parser.parse({});
    while (s == http::parse_state::need_more && size < in.octets.size()) {
        size += cut.next(in.octets.size() - size);
        const fuzz::exact_copy so_far(in.octets.substr(0, size));
        s = parser.parse(so_far.view());
    }
    fuzz::require(outcome(parser, s, whole.view()) == expected, "pieces give what the whole gives");

    if (s == http::parse_state::done) {
        const std::size_t head = parser.consumed();
        parser.reset();
        const fuzz::exact_copy alone(in.octets.substr(0, head));
        fuzz::require(parser.parse(alone.view()) == http::parse_state::done && parser.consumed() == head,
                      "what follows a head does not matter");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    http::limits lim;
    if ((in.seed & 3) == 3) { // limits that short inputs meet
        lim.start_line_octets = 24;
        lim.field_line_octets = 20;
        lim.head_octets = 80;
        lim.max_fields = 3;
    }
    check<http::request_parser>(lim, in);
    check<http::response_parser>(lim, in);
    return 0;
}
