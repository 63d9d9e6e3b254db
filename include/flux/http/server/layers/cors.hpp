// SPDX-License-Identifier: MIT
// flux/http/server/layers/cors.hpp - a layer that lets pages of other origins read answers.
//
// It tells browsers; it is no access control: a request of an origin that is not allowed is answered as any other,
// only without the fields that let a page read the answer. Source: the Fetch standard, 3.2 "CORS protocol".
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/function.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/field_list.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Answers preflights, and marks answers for the origins that are allowed.
///
///     app.use(http::cors().origin("https://app.example").methods("GET, POST, PUT").headers("Content-Type"));
///
/// A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered with 204 and does not reach what is
/// inside. Vary names what the answer depends on, so that caches keep answers for different origins apart. An
/// error that leaves the handler passes without the fields: put recover inside.
///
/// Errors   the setters throw flux::error (errc::invalid_argument): an origin that is not scheme://host[:port], what
///          could split a message, credentials together with any_origin().
class cors {
public:
    /// Allows one more origin: "https://app.example", "http://localhost:3000". Compared octet by octet, as browsers
    /// write it. "null" is what sandboxed pages of anybody say.
    cors& origin(std::string_view allowed) & {
        require(allowed == "null" || is_origin(allowed), allowed, "an origin is scheme://host or scheme://host:port");
        origins_.emplace_back(allowed);
        return *this;
    }
    [[nodiscard]] cors origin(std::string_view allowed) && { return std::move(origin(allowed)); }
    /// Allows the origins for which `allowed` is true; called by all workers.
    template <class = void>
    cors& origin_if(unique_function<bool(std::string_view)> allowed) & {
        test_ = std::make_shared<unique_function<bool(std::string_view)>>(std::move(allowed));
        return *this;
    }
    template <class = void>
    [[nodiscard]] cors origin_if(unique_function<bool(std::string_view)> allowed) && {
        return std::move(origin_if(std::move(allowed)));
    }
    /// Allows every origin ("*"). Not together with credentials().
    cors& any_origin() & {
        require(!credentials_, "any_origin()", "not together with credentials");
        any_ = true;
        return *this;
    }
    [[nodiscard]] cors any_origin() && { return std::move(any_origin()); }
    /// The methods that pages may use, as a list. Default "GET, HEAD, POST".
    cors& methods(std::string_view list) & { return set(methods_, list); }
    [[nodiscard]] cors methods(std::string_view list) && { return std::move(methods(list)); }
    /// The request fields that pages may set, as a list; "*" is all that they ask for. Default: none but those that
    /// need no permission.
    cors& headers(std::string_view list) & { return set(headers_, list); }
    [[nodiscard]] cors headers(std::string_view list) && { return std::move(headers(list)); }
    /// The answer's fields that pages may read beside the usual ones, as a list.
    cors& expose(std::string_view list) & { return set(exposed_, list); }
    [[nodiscard]] cors expose(std::string_view list) && { return std::move(expose(list)); }
    /// Lets pages send cookies and Authorization.
    cors& credentials() & {
        require(!any_, "credentials()", "not together with any origin");
        credentials_ = true;
        return *this;
    }
    [[nodiscard]] cors credentials() && { return std::move(credentials()); }
    /// How long a browser may keep what a preflight said. Default: not said, which browsers take for five seconds.
    cors& max_age(std::chrono::seconds s) & { return set(max_age_, std::to_string(s.count())); }
    [[nodiscard]] cors max_age(std::chrono::seconds s) && { return std::move(max_age(s)); }

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        const std::string_view origin = req.header(field::origin);
        const bool allowed = !origin.empty() && is_allowed(origin);
        if (is_preflight(req)) {
            co_return preflight(req, origin, allowed);
        }
        responder* const out = req.streams_to();
        if (out != nullptr) {
            mark(*out, out->head_fields(), origin, allowed);
        }
        auto answer = co_await attempt(inner(req));
        if (answer && !req.was_streamed()) {
            mark(*answer, answer->fields(), origin, allowed);
        }
        co_return std::move(answer);
    }

private:
    static void require(bool holds, std::string_view subject, const char* rule) {
        if (!holds) {
            flux::detail::throw_error(
                error(flux::errc::invalid_argument).doing("cors: " + std::string(subject) + ": " + rule));
        }
    }
    cors& set(std::string& member, std::string_view value) {
        require(all(value, octet_class::field_value), "a list", "an octet that cannot stand in a field");
        member = value;
        return *this;
    }
    [[nodiscard]] static bool is_origin(std::string_view text) noexcept {
        const std::size_t at = text.find("://");
        if (at == std::string_view::npos || at == 0) {
            return false;
        }
        const std::string_view host = text.substr(at + 3);
        return all(text.substr(0, at), octet_class::scheme) && !host.empty() &&
               host.find_first_of("/?#@ *,") == std::string_view::npos && all(host, octet_class::target);
    }
    [[nodiscard]] bool is_allowed(std::string_view origin) const {
        if (any_) {
            return true;
        }
        for (const std::string& known : origins_) {
            if (known == origin) {
                return true;
            }
        }
        return test_ != nullptr && (*test_)(origin);
    }
    [[nodiscard]] static bool is_preflight(const request& req) noexcept {
        return req.method() == method::options && req.fields().contains(field::origin) &&
               req.fields().contains("Access-Control-Request-Method");
    }

    template <class Head>
    void mark(Head& head, const fields_view& has, std::string_view origin, bool allowed) const {
        if (!any_ && !has.has_token(field::vary, "Origin") && !has.has_token(field::vary, "*")) {
            head.add_header(field::vary, "Origin");
        }
        if (!allowed) {
            return;
        }
        allow(head, origin);
        if (!exposed_.empty()) {
            head.header("Access-Control-Expose-Headers", exposed_);
        }
    }
    template <class Head>
    void allow(Head& head, std::string_view origin) const {
        head.header(field::access_control_allow_origin, any_ ? std::string_view("*") : origin);
        if (credentials_) {
            head.header("Access-Control-Allow-Credentials", "true");
        }
    }

    [[nodiscard]] response preflight(const request& req, std::string_view origin, bool allowed) const {
        response answer(status::no_content);
        answer.header(field::vary, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        const std::string_view wanted = req.header("Access-Control-Request-Headers");
        if (!allowed || !may_set(wanted)) {
            return answer; // a browser takes the missing fields for no
        }
        allow(answer, origin);
        answer.header("Access-Control-Allow-Methods", methods_);
        if (!wanted.empty()) {
            answer.header("Access-Control-Allow-Headers", headers_ == "*" ? wanted : std::string_view(headers_));
        }
        if (!max_age_.empty()) {
            answer.header("Access-Control-Max-Age", max_age_);
        }
        return answer;
    }
    [[nodiscard]] bool may_set(std::string_view wanted) const noexcept {
        for (const std::string_view name : list_elements(wanted)) {
            if (!is_token(name) || (headers_ != "*" && !list_has_token(headers_, name))) {
                return false;
            }
        }
        return true;
    }

    flux::detail::dynamic_array<std::string> origins_;
    std::shared_ptr<unique_function<bool(std::string_view)>> test_; // null: only the list counts
    std::string methods_ = "GET, HEAD, POST";
    std::string headers_;
    std::string exposed_;
    std::string max_age_;
    bool any_ = false;
    bool credentials_ = false;
};

} // namespace flux::inline FLUX_ABI::http
