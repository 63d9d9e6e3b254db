// SPDX-License-Identifier: MIT
// flux/http/server/layers/basic_auth.hpp - a layer that asks for a user and a password.
//
// Passwords travel in plain text: serve it over TLS. Deliberately not here: storing passwords (hash them slowly, and
// check them in a function of your own), sessions, other schemes. Source: RFC 7617.
#pragma once

#include <flux/core/base64.hpp>
#include <flux/core/constant_time.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/message/field_list.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// The user of the request in progress: `ctx.get<auth_user_key>()` below basic_auth.
struct auth_user_key : context_key<std::string_view> {};

/// A few users that are known when the program starts. All are compared, each in constant time.
class known_users {
public:
    known_users& add(std::string_view user, std::string_view password) & {
        entries_.push_back(entry{std::string(user), std::string(password)});
        return *this;
    }
    [[nodiscard]] known_users add(std::string_view user, std::string_view password) && {
        return std::move(add(user, password));
    }
    [[nodiscard]] bool operator()(std::string_view user, std::string_view password) const noexcept {
        unsigned found = 0;
        for (const entry& e : entries_) {
            const unsigned same_user = constant_time_equal(user, e.user) ? 1 : 0;
            const unsigned same_password = constant_time_equal(password, e.password) ? 1 : 0;
            found |= same_user & same_password;
        }
        return found != 0;
    }

private:
    struct entry {
        std::string user;
        std::string password;
    };
    flux::detail::dynamic_array<entry> entries_;
};

namespace detail {

struct basic_credentials {
    std::string text; // user:password
    std::size_t colon = 0;

    [[nodiscard]] std::string_view user() const noexcept { return std::string_view(text).substr(0, colon); }
    [[nodiscard]] std::string_view password() const noexcept { return std::string_view(text).substr(colon + 1); }

    // False: not understood.
    [[nodiscard]] explicit operator bool() const noexcept { return !text.empty(); }

    // One Authorization line with scheme Basic, one token68, a colon inside, no control octets.
    [[nodiscard]] static basic_credentials of(const fields_view& head) {
        auto line = head.get_all(field::authorization).begin();
        if (line == std::default_sentinel) {
            return {};
        }
        const std::string_view value = *line;
        ++line;
        if (!(line == std::default_sentinel) || !iequals(value.substr(0, 6), "basic ")) {
            return {};
        }
        auto decoded = base64_decode(trim(value.substr(6)));
        if (!decoded) {
            return {};
        }
        for (const char c : *decoded) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
                return {};
            }
        }
        const std::size_t colon = decoded->find(':');
        if (colon == std::string::npos) {
            return {};
        }
        return basic_credentials{*std::move(decoded), colon};
    }
};

} // namespace detail

/// Lets only those in who know a password; all others get 401 with the realm.
///
///     app.use(http::basic_auth("staff only", http::known_users().add("ann", "secret")));
///     app.use(http::basic_auth("staff only", [&db](std::string user, std::string password) -> flux::task<bool> {...}));
///
/// Params   realm   what a browser shows; text of a field value
///          check   `bool(std::string_view user, std::string_view password)`, or `task<bool>(std::string user,
///                  std::string password)` if it has to wait. Called by all workers. It must compare in constant
///                  time (flux::constant_time_equal) or compare hashes. What it throws is what the request ends with.
/// Errors   the constructor throws flux::error (errc::invalid_argument) for a realm that cannot stand in a field.
template <class Check>
class basic_auth {
    static constexpr bool waits = !std::is_invocable_r_v<bool, const Check&, std::string_view, std::string_view>;

public:
    basic_auth(std::string_view realm, Check check) : check_(std::move(check)) {
        if (!all(realm, octet_class::field_value)) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("basic_auth: realm"));
        }
        challenge_ = "Basic realm=\"";
        for (const char c : realm) {
            challenge_ += c == '"' || c == '\\' ? "\\" : "";
            challenge_ += c;
        }
        challenge_ += "\", charset=\"UTF-8\"";
    }

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        const detail::basic_credentials given = detail::basic_credentials::of(req.fields());
        bool known = false;
        if (given) {
            if constexpr (waits) {
                known = co_await check_(std::string(given.user()), std::string(given.password()));
            } else {
                known = check_(given.user(), given.password());
            }
        }
        if (!known) {
            co_return detail::plain_answer(status::unauthorized).header(field::www_authenticate, challenge_);
        }
        co_return co_await attempt(with_value<auth_user_key>(given.user(), inner(req)));
    }

private:
    Check check_;
    std::string challenge_;
};

} // namespace flux::inline FLUX_ABI::http
