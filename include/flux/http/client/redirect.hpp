// SPDX-License-Identifier: MIT
// flux/http/client/redirect.hpp - whether a response sends the client elsewhere, where to, and what may go along.
//
//   status + Location -> redirect_chain -> next URL, next method, body or not, fields to leave behind
//
// Decides and remembers, sends nothing. What is lost on the way stays lost: a body once dropped, credentials once
// left behind, although the chain may come back to where it started.
// Deliberately not here: sending, producing a body again (client), cookies (cookie_jar).
#pragma once

#include <flux/core/result.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/message/url.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Why a redirect was not followed although the client was asked to. All of them are of kind http.
enum class redirect_errc : std::uint8_t {
    too_many = 1,      ///< more of them than redirect_options::max_redirects
    bad_location,      ///< Location is no URI reference, or there are two different ones
    foreign_scheme,    ///< neither http nor https; ws and wss only where the chain started with one of them
    downgrade,         ///< from https to http, and redirect_options::allow_downgrade is off
    holds_credentials, ///< Location names a user: a sign of phishing [RFC 9110 4.2.4]
};

namespace detail {

class redirect_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "redirect"; }
    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<redirect_errc>(code)) {
        case redirect_errc::too_many:
            return "too many redirects";
        case redirect_errc::bad_location:
            return "redirected to what is not a URL";
        case redirect_errc::foreign_scheme:
            return "redirected to a scheme other than http and https";
        case redirect_errc::downgrade:
            return "redirected from https to http";
        case redirect_errc::holds_credentials:
            return "redirected to a URL with user information";
        }
        return "unknown redirect error";
    }
    [[nodiscard]] error_kind kind_of(int) const noexcept override { return error_kind::http; }
};

} // namespace detail

[[nodiscard]] inline std::error_code make_error_code(redirect_errc code) noexcept {
    return {static_cast<int>(code), flux::detail::the_domain<detail::redirect_domain>()};
}

} // namespace flux::inline FLUX_ABI::http

template <>
struct std::is_error_code_enum<flux::http::redirect_errc> : std::true_type {};

namespace flux::inline FLUX_ABI::http {

/// How far a client follows.
struct redirect_options {
    std::uint32_t max_redirects = 10; ///< responses followed; one more is an error. 0: the 3xx is the answer
    bool allow_downgrade = false;     ///< follow from https to http, where everybody on the way reads along
};
static_assert(__is_trivially_copyable(redirect_options));

/// The statuses that a client follows by itself. 300 leaves the choice to people, 304 is about the client's own copy,
/// 305 and 306 would let any server choose the proxy.
/// Source  RFC 9110 15.4.
[[nodiscard]] constexpr bool is_followed(status s) noexcept {
    return s == status::moved_permanently || s == status::found || s == status::see_other ||
           s == status::temporary_redirect || s == status::permanent_redirect;
}

/// The method after a redirect: 303 asks for a look at something else (HEAD stays HEAD); after 301 and 302 a POST
/// becomes GET, as every user agent does it; nothing else changes.
/// Source  RFC 9110 15.4.2 to 15.4.9.
[[nodiscard]] constexpr method redirected(method m, status s) noexcept {
    const bool look = s == status::see_other && m != method::head;
    const bool post = (s == status::moved_permanently || s == status::found) && m == method::post;
    return look || post ? method::get : m;
}

/// One request on its way through redirects. After advance() returned true, the members say how to go on.
/// Threads  as a value.
class redirect_chain {
public:
    redirect_chain(http::url start, http::method m, redirect_options options = {})
        : url_(std::move(start)), options_(options), method_(m) {}

    /// Takes the head of a response to the request that the members describe.
    ///
    /// Returns  true: go on with url() and method(), after apply() to the fields. false: this response is the answer;
    ///          that includes a redirect without Location, and any redirect if max_redirects is 0.
    /// Errors   redirect_errc; the members are unchanged then.
    /// Source   RFC 9110 10.2.2, 15.4; RFC 3986 5.2.
    [[nodiscard]] result<bool> advance(status code, const fields_view& response) {
        if (!is_followed(code) || options_.max_redirects == 0) {
            return false;
        }
        std::string_view location;
        const auto all = response.get_all(field::location);
        for (auto it = all.begin(); !(it == std::default_sentinel); ++it) {
            if (!location.empty() && *it != location) {
                return refuse(redirect_errc::bad_location);
            }
            location = *it;
        }
        if (location.empty()) {
            return false;
        }
        if (followed_ == options_.max_redirects) {
            return refuse(redirect_errc::too_many);
        }
        if (const redirect_errc wrong = go_to(location); wrong != redirect_errc{}) {
            return refuse(wrong);
        }
        ++followed_;
        const http::method next = redirected(method_, code);
        drops_body_ = drops_body_ || next != method_ || code == status::see_other;
        method_changed_ = method_changed_ || next != method_;
        method_ = next;
        return true;
    }

    /// Where to go next. A fragment is inherited, user information only within the origin that it was for.
    [[nodiscard]] const http::url& url() const& noexcept { return url_; }
    void url() const&& = delete;
    [[nodiscard]] http::method method() const noexcept { return method_; }
    /// Whether it is GET now and was something else; an unregistered method is `other` all the way otherwise.
    [[nodiscard]] bool method_changed() const noexcept { return method_changed_; }
    [[nodiscard]] bool drops_body() const noexcept { return drops_body_; }
    /// Whether the chain has ever left the origin that the caller's credentials were for.
    [[nodiscard]] bool left_origin() const noexcept { return left_origin_; }
    [[nodiscard]] std::uint32_t followed() const noexcept { return followed_; }

    /// Takes out of the caller's fields what must not go along: with the body what describes it; beyond the first
    /// origin Authorization, Cookie, Proxy-Authorization and Host, on the way from https to http also Referer. Call it
    /// on all fields that the caller set, also as defaults of the client, and add none of them again.
    /// Source  RFC 9110 15.4, 10.1.3.
    void apply(fields& request) const {
        if (drops_body_) {
            for (const field f :
                 {field::content_type, field::content_length, field::content_encoding, field::content_language,
                  field::content_location, field::content_range, field::content_disposition, field::transfer_encoding,
                  field::trailer, field::expect, field::last_modified}) {
                request.remove(f);
            }
            for (const char* name : {"Digest", "Content-Digest", "Repr-Digest", "Content-MD5"}) {
                request.remove(name);
            }
        }
        if (left_origin_) {
            for (const field f : {field::authorization, field::cookie, field::proxy_authorization, field::host}) {
                request.remove(f);
            }
        }
        if (downgraded_) {
            request.remove(field::referer);
        }
    }

private:
    [[nodiscard]] static failure refuse(redirect_errc code) { return fail(make_error_code(code)); }

    // Zero, and url_ is the next one; or what is wrong.
    [[nodiscard]] redirect_errc go_to(std::string_view location) {
        const uri_parts reference = split_uri(location);
        if (reference.authority.find('@') != std::string_view::npos) {
            return redirect_errc::holds_credentials;
        }
        std::string text = resolve_reference(url_.text(), location);
        if (!reference.has_fragment && url_.has_fragment()) {
            (text += '#') += url_.fragment();
        }
        const uri_parts next = split_uri(text);
        const bool web = iequals(next.scheme, "http") || iequals(next.scheme, "https");
        const bool socket = iequals(next.scheme, "ws") || iequals(next.scheme, "wss");
        if (url_.is_websocket() ? !socket : !web) {
            return redirect_errc::foreign_scheme;
        }
        auto target = http::url::parse(text);
        if (!target) {
            return redirect_errc::bad_location;
        }
        const bool downgrade = url_.is_secure() && !target->is_secure();
        if (downgrade && !options_.allow_downgrade) {
            return redirect_errc::downgrade;
        }
        if (!same_origin(url_, *target)) {
            left_origin_ = true;
        } else if (target->userinfo() != url_.userinfo()) {
            // An absolute Location within the origin: as if it had been a relative one.
            text.insert(text.find("//") + 2, std::string(url_.userinfo()) + '@');
            target = http::url::parse(text);
        }
        downgraded_ = downgraded_ || downgrade;
        url_ = std::move(*target);
        return {};
    }

    http::url url_;
    redirect_options options_;
    std::uint32_t followed_ = 0;
    http::method method_;
    bool method_changed_ = false;
    bool drops_body_ = false;
    bool left_origin_ = false;
    bool downgraded_ = false;
};

} // namespace flux::inline FLUX_ABI::http
