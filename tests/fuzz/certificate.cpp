// SPDX-License-Identifier: MIT
// A certificate of any octets is read or refused, and what was read can be judged and put into words.
#include <flux/tls/verify.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "segments.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace tls = flux::tls;
    const fuzz::exact_copy whole(std::string_view(reinterpret_cast<const char*>(data), size));
    const auto read = tls::parse_certificate(whole.view());
    if (!read) {
        return 0;
    }
    const tls::certificate& c = *read;
    fuzz::require(!c.subject_name.empty() && !c.issuer_name.empty(), "a certificate has names");
    for (const char octet : tls::names_of(c)) {
        fuzz::require(static_cast<unsigned char>(octet) >= 0x20 && octet != 0x7f, "names are fit for a log");
    }
    tls::anchor_set anchors;
    anchors.add(c);
    anchors.seal();
    const std::vector<tls::certificate> chain{c, c};
    tls::expectation e;
    e.anchors = &anchors;
    e.host = "a.test";
    const auto found = tls::judge_chain(chain, e);
    fuzz::require(found || tls::is_for_host(c, "a.test"), "a good chain is for the host");
    fuzz::require(tls::date_text(c.not_after).size() >= 10, "a date has a text");
    return 0;
}
