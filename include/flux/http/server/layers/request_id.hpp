// SPDX-License-Identifier: MIT
// flux/http/server/layers/request_id.hpp - a layer that gives every request an id.
//
// Deliberately not here: ids of traces, which have a form of their own (traceparent).
#pragma once

#include <flux/coro/with.hpp>
#include <flux/http/server/middleware.hpp>

#include <sys/random.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// The id of the request in progress, as request_id found or made it: `ctx.get<request_id_key>()` below it.
struct request_id_key : context_key<std::string_view> {};

/// Gives every request an id, and says it in the answer.
///
/// X-Request-Id of the request is taken if it is 1 to 128 letters, digits or `-._~+/=:`, which no log and no
/// field can misread; otherwise a new one is made, 32 hexadecimal digits. It goes into the context and into
/// X-Request-Id of the answer. An error that leaves the handler passes: put a layer that answers errors inside.
/// Threads  calls: any.
class request_id {
public:
    /// Ids that differ from those of other processes.
    request_id() noexcept : request_id(random_number()) {}
    /// Ids that follow from the seed, for tests.
    explicit request_id(std::uint64_t seed) noexcept : seed_(mixed(seed)) {}
    request_id(request_id&& other) noexcept
        : seed_(other.seed_), count_(other.count_.load(std::memory_order_relaxed)) {}
    request_id& operator=(request_id&&) = delete;
    ~request_id() = default;

    template <std::same_as<next> Next> // a template, so that only those who use the layer compile the coroutine
    [[nodiscard]] task<response> operator()(request& req, Next& inner) {
        made_id made;
        const std::string_view given = req.header(name);
        const std::string_view id = is_valid(given) ? given : make(made);
        responder* const out = req.streams_to();
        if (out != nullptr) {
            out->header(name, id);
        }
        auto answer = co_await attempt(with_value<request_id_key>(id, inner(req)));
        if (answer && out == nullptr) {
            answer->header(name, id);
        }
        co_return std::move(answer);
    }

    [[nodiscard]] static bool is_valid(std::string_view id) noexcept {
        if (id.empty() || id.size() > 128) {
            return false;
        }
        for (const char c : id) {
            if (!is(c, octet_class::unreserved) && std::string_view("+/=:").find(c) == std::string_view::npos) {
                return false;
            }
        }
        return true;
    }

private:
    static constexpr std::string_view name = "X-Request-Id";
    struct made_id {
        char text[32];
    };

    // The seed tells processes apart, and the count requests: mixed() is one to one.
    [[nodiscard]] std::string_view make(made_id& into) noexcept {
        const std::uint64_t parts[] = {seed_, mixed(seed_ + count_.fetch_add(1, std::memory_order_relaxed))};
        for (std::size_t i = 0; i < sizeof(into.text); ++i) {
            const std::uint64_t digit = (parts[i / 16] >> (60 - 4 * (i % 16))) & 15;
            into.text[i] = "0123456789abcdef"[digit];
        }
        return {into.text, sizeof(into.text)};
    }
    // A bijection of 64-bit numbers in which every bit of the input matters to every bit of the output.
    [[nodiscard]] static constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
        x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93U;
        x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93U;
        return x ^ (x >> 32);
    }
    [[nodiscard]] static std::uint64_t random_number() noexcept {
        std::uint64_t number = 0;
        if (::getrandom(&number, sizeof(number), 0) != static_cast<ssize_t>(sizeof(number))) {
            number = static_cast<std::uint64_t>(clock::now().time_since_epoch().count()); // refused by a sandbox
        }
        return number;
    }

    std::uint64_t seed_;
    std::atomic<std::uint64_t> count_{0};
};

} // namespace flux::inline FLUX_ABI::http
