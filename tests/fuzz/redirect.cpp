// SPDX-License-Identifier: MIT
// A chain of redirects by any Locations: never to another scheme, never more than the limit, nothing of the first
// origin at another one. First octet: status and options. Then lines: the first URL, one Location each.
#include <flux/http/client/redirect.hpp>

#include <string>
#include <string_view>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr http::status statuses[] = {http::status::moved_permanently, http::status::found, http::status::see_other,
                                         http::status::temporary_redirect, http::status::permanent_redirect};
    fuzz::seeded_input in = fuzz::split_seed(data, size);
    const auto start = http::url::parse(take_line(in.octets));
    if (!start) {
        return 0;
    }
    http::redirect_options options;
    options.max_redirects = static_cast<std::uint32_t>(in.seed % 7);
    options.allow_downgrade = in.seed % 2 == 0;
    http::redirect_chain chain(*start, http::method::post, options);
    bool left = false;
    for (std::uint64_t n = in.seed; !in.octets.empty(); ++n) {
        const fuzz::exact_copy location(take_line(in.octets));
        http::fields response;
        if (!response.try_add(http::field::location, location.view())) {
            continue;
        }
        const http::url before = chain.url();
        const auto step = chain.advance(statuses[n % 5], response);
        const http::url& now = chain.url();
        require(chain.followed() <= options.max_redirects, "no more redirects than the limit");
        require(step.has_value() || step.error().kind() == flux::error_kind::http, "a refusal is of kind http");
        if (!step || !*step) {
            require(now == before, "what is not followed changes nothing");
            continue;
        }
        const auto again = http::url::parse(now.text());
        require(again.has_value() && *again == now, "the next URL is one");
        require(http::all(now.target(), http::octet_class::target), "its target may stand in a request line");
        require(now.is_websocket() == before.is_websocket(), "http and ws are not mixed");
        require(options.allow_downgrade || !before.is_secure() || now.is_secure(), "no downgrade");
        left = left || !same_origin(*start, now);
        require(chain.left_origin() == left, "another origin is noticed, and not forgotten");
        require(left ? now.userinfo().empty() : now.userinfo() == start->userinfo(), "user information stays home");
        http::fields request;
        request.add("Authorization", "x").add("Host", "x").add("Content-Type", "x");
        chain.apply(request);
        require(request.contains("Authorization") != left && request.contains("Host") != left, "so do credentials");
        require(request.contains("Content-Type") != chain.drops_body(), "a type goes with its body");
        require(!chain.method_changed() || chain.drops_body(), "a changed method has no body");
    }
    return 0;
}
