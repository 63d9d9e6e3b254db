// SPDX-License-Identifier: MIT
// DNS answers from any octets: no crash, nothing beyond the limits, and nothing taken that was not asked for. The id of
// the query is that of the message, so that more than the header is reached.
#include <flux/net/dns_message.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace dns = flux::dns;
using fuzz::require;

void check_answer(std::string_view text, dns::record_type type) {
    const auto id = static_cast<std::uint16_t>(text.size() < 2 ? 0
                                                               : static_cast<unsigned char>(text[0]) << 8 |
                                                                     static_cast<unsigned char>(text[1]));
    const dns::query asked(dns::name::parse("a.example").value(), type, id);
    dns::answer a;
    const dns::verdict v = dns::read_answer(std::as_bytes(std::span(text)), asked, a);
    require(a.addresses.size() <= dns::max_addresses, "addresses are bounded");
    if (v != dns::verdict::ours) {
        return;
    }
    require(a.ttl <= dns::max_ttl, "a TTL is bounded");
    require(!a.truncated || a.addresses.empty(), "a truncated answer has no addresses");
    require(!a.lame || a.addresses.empty(), "a lame answer has no addresses");
    require(a.canonical.to_string().size() <= 4 * 255, "a name is bounded");
    const auto family = type == dns::record_type::a ? flux::address_family::ipv4 : flux::address_family::ipv6;
    for (const flux::endpoint& e : a.addresses) {
        require(e.family() == family && e.port() == 0, "addresses are of the type that was asked for");
    }
    dns::answer again;
    require(dns::read_answer(std::as_bytes(std::span(text)), asked, again) == v && again.ttl == a.ttl &&
                again.addresses.size() == a.addresses.size(),
            "the same octets have the same meaning");
}

void check_name(std::string_view text) {
    const auto n = dns::name::parse(text);
    if (!n.has_value()) {
        require(!n.error().message().empty(), "a refusal has a reason");
        return;
    }
    require(n->wire().size() <= 255 && n->wire().back() == 0, "a name fits the wire");
    const auto again = dns::name::parse(n->to_string());
    require(again.has_value() && *again == *n, "a name is read as what it was written as");
    require(n->is_under(*n) && n->is_under(dns::name()), "a name is in its own zone, and in the root");
    const dns::query q(*n, dns::record_type::aaaa, 1);
    require(q.octets().size() <= 512, "a query is short");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::exact_copy copy(std::string_view(reinterpret_cast<const char*>(data), size));
    check_answer(copy.view(), dns::record_type::a);
    check_answer(copy.view(), dns::record_type::aaaa);
    check_name(copy.view());
    return 0;
}
