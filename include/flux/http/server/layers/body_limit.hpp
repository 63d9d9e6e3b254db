// SPDX-License-Identifier: MIT
// flux/http/server/layers/body_limit.hpp - a layer with a limit of its own for the bodies of some routes.
//
// Deliberately not here: the limit of all bodies of a server (http::limits::body_octets), which holds as well.
#pragma once

#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// A body that fails with errc::body_too_large once it is longer than a limit. A template, so that only programs with
/// the layer compile its coroutine.
template <class Piece = std::string_view>
class limited_body final : public body_source {
public:
    limited_body(body_reader inner, std::uint64_t limit) noexcept : inner_(inner), left_(limit) {}
    limited_body(const limited_body&) = delete;
    limited_body& operator=(const limited_body&) = delete;

    [[nodiscard]] task<Piece> next() override { return read(); }
    [[nodiscard]] fields_view trailers() const noexcept override { return inner_.trailers(); }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return inner_.length(); }
    [[nodiscard]] const error* failure() const noexcept override {
        return failed_ ? &*failed_ : inner_.failure();
    }
    [[nodiscard]] bool exceeded() const noexcept { return failed_.has_value(); }

private:
    task<Piece> read() {
        if (failed_) {
            co_return fail(*failed_);
        }
        const auto piece = co_await attempt(inner_.next());
        if (!piece) {
            co_return fail(piece.error());
        }
        if (piece->size() > left_) {
            co_return fail(failed_.emplace(errc::body_too_large));
        }
        left_ -= piece->size();
        co_return *piece;
    }

    body_reader inner_;
    std::uint64_t left_;
    std::optional<error> failed_;
};

// The request has its own body again, however the layer is left.
class body_scope {
public:
    body_scope(request& req, body_source& source) noexcept : req_(&req), before_(req.body()) { req.set_body(source); }
    body_scope(const body_scope&) = delete;
    body_scope& operator=(const body_scope&) = delete;
    ~body_scope() { req_->body() = before_; }

private:
    request* req_;
    body_reader before_;
};

} // namespace detail

/// Answers 413 to a body over a limit: at once if its length is announced, so that a client that waits for 100
/// (Continue) sends nothing; else when a read goes over it.
///
/// The limit of the server (http::limits::body_octets) holds all the same, so this one can only be lower. A handler
/// that goes on after the failed read does not get its answer through, unless its head is out already.
class body_limit {
public:
    /// Params  octets  of content, after chunked coding is removed. That many are accepted, one more is not.
    explicit body_limit(std::uint64_t octets) noexcept : octets_(octets) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        if (!req.body().has_body()) {
            co_return co_await attempt(inner(req));
        }
        if (req.body().length().value_or(0) > octets_) {
            co_return detail::plain_answer(status::content_too_large);
        }
        detail::limited_body<> limited(req.body(), octets_);
        const detail::body_scope scope(req, limited);
        auto answer = co_await attempt(inner(req));
        if (limited.exceeded() && (req.streams_to() == nullptr || !req.streams_to()->head_sent())) {
            co_return detail::plain_answer(status::content_too_large);
        }
        co_return std::move(answer);
    }

private:
    std::uint64_t octets_;
};

} // namespace flux::inline FLUX_ABI::http
