// SPDX-License-Identifier: MIT
// flux/http/client/client_connection.hpp - one HTTP/1.1 connection of a client: one exchange after the other.
//
//   request head + body -> stream -> input -> interim heads, head -> body, piece by piece -> exactly at its end
//
// A small request is one write; a response whose body came with its head needs the connection no longer than that.
// What ends before its framing does is an error, whatever came; what follows the end makes the connection
// unusable. Deliberately not here: which connection (pool.hpp), redirects and repetition (client.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/client/client_exchange.hpp>
#include <flux/http/client/pool.hpp>
#include <flux/net/octet_input.hpp>
#include <flux/net/stream.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

[[nodiscard]] inline duration or_for_ever(milliseconds d) noexcept {
    return d.count() > 0 ? duration(d) : duration::max();
}

template <buffered_stream Stream>
class client_connection final : public pool_member, public answer_source {
public:
    explicit client_connection(Stream&& stream) noexcept : stream_(std::move(stream)) {}

    static void* operator new(std::size_t size) { return flux::detail::frame_pool::allocate_here(size); }
    static void operator delete(void* memory, std::size_t size) noexcept {
        flux::detail::frame_pool::release_here(memory, size);
    }

    [[nodiscard]] Stream& stream() noexcept { return stream_; }

    /// Octets that arrived: parses interim responses and the head. True when the head is complete.
    [[nodiscard]] result<bool> take_head(client_exchange& ex, const client_options& options) {
        while (!input_.empty()) {
            if (!ex.got_any) {
                ex.got_any = true;
                if (ex.trace != nullptr) {
                    ex.trace->first_octet(ex.elapsed());
                }
            }
            const std::string_view octets = input_.view();
            const parse_state parsed = ex.parser.parse(octets);
            if (parsed == parse_state::need_more) {
                input_.carry_over();
                return false;
            }
            if (parsed == parse_state::failed) {
                return fail(error(ex.parser.error().code));
            }
            const response_head head = ex.parser.head(octets);
            if (!is_informational(head.status) || head.status == status::switching_protocols) {
                return accept_head(ex, octets);
            }
            if (++interim_ > options.max_interim) {
                return fail(error(errc::too_many_interim));
            }
            continued_ = continued_ || head.status == status::continue_;
            if (ex.on_interim) {
                ex.on_interim(head.status, head.fields);
            }
            input_.consume(ex.parser.consumed());
            ex.parser.reset();
        }
        return false;
    }
    void add_input(received&& octets) { input_.add(std::move(octets)); }
    void begin_exchange(pool_core& pool) noexcept {
        pool_ = &pool;
        interim_ = 0;
        continued_ = false;
    }
    /// A 100 (Continue) came.
    [[nodiscard]] bool continued() const noexcept { return continued_; }

    /// Back to the pool, or closed: the exchange needs it no more.
    void finish(client_exchange& ex, bool reusable) noexcept {
        ex.source = nullptr;
        if (ex.ended && !ex.failed && !ex.is_hop) {
            ex.end_trace(nullptr);
        }
        input_.consume(std::exchange(ex.piece, 0U));
        reusable = reusable && input_.empty() && ex.persistent && ex.sent_whole;
        input_.reset();
        pool_->release(*this, reusable);
    }

    // answer_source
    [[nodiscard]] task<std::string_view> next(client_exchange& ex) override {
        input_.consume(std::exchange(ex.piece, 0U));
        if (const std::string_view early = ex.take_early(); !early.empty()) {
            co_return early;
        }
        if (ex.framing.kind == body_kind::tunnel) {
            co_return std::string_view(); // the connection waits for hand_over()
        }
        if (ex.failed) {
            co_return fail(*ex.failed);
        }
        auto ctx = co_await this_context();
        while (!ex.ended) {
            if (input_.empty()) {
                const time_point now = ctx.home().now();
                const time_point most = std::min(ex.deadline, deadline_after(now, or_for_ever(ex.progress)));
                auto octets = co_await attempt(with_deadline(most, stream_.receive()));
                if (auto why = add_body(ex, std::move(octets))) {
                    co_return fail(break_off(ex, *std::move(why)));
                }
            }
            const auto piece = take_piece(ex);
            if (!piece) {
                co_return fail(break_off(ex, piece.error()));
            }
            if (!piece->empty()) {
                co_return *piece;
            }
        }
        finish(ex, true);
        co_return std::string_view();
    }
    /// Octets of the body arrived, or its end. Yields what is wrong with that.
    [[nodiscard]] std::optional<error> add_body(client_exchange& ex, result<received>&& octets) {
        if (!octets) {
            return std::move(octets).error();
        }
        if (!octets->empty()) {
            input_.add(*std::move(octets));
        } else if (ex.framing.kind == body_kind::until_close) {
            ex.ended = true;
        } else {
            return error(errc::incomplete_body);
        }
        return std::nullopt;
    }
    /// Copies what came of the body, while the request is still being sent and nobody reads. False: enough, or all.
    [[nodiscard]] bool keep(client_exchange& ex, std::size_t limit) {
        while (!ex.ended && !ex.failed && !input_.empty()) {
            if (ex.early.size() >= limit) {
                return false;
            }
            const auto piece = take_piece(ex);
            if (!piece) {
                break_later(ex, piece.error());
                return false;
            }
            ex.early.append(*piece);
            input_.consume(std::exchange(ex.piece, 0U));
        }
        return !ex.ended && !ex.failed;
    }
    /// The body cannot be read on; the connection is given up once nothing else uses it.
    void break_later(client_exchange& ex, error e) {
        e.doing(ex.what()).phase(error_phase::body);
        ex.failed.emplace(std::move(e));
    }
    /// A body that may be short is read to its end on the side, so that the connection can be used again.
    void abandon(exchange_handle ex) noexcept override {
        const bool worth_it = ex->persistent && ex->sent_whole && !ex->failed &&
                              (ex->framing.kind == body_kind::chunked || ex->left <= drain_limit);
        if (!worth_it || ex->ended || !pool_->can_run()) {
            skip(*ex);
            return; // the handle gives the block back
        }
        const std::shared_ptr<client_engine> engine = std::move(ex->engine); // it need not live for this
        pool_->run_aside(drain(this, std::move(ex)));
    }
    [[nodiscard]] raw_stream hand_over(client_exchange& ex) override {
        auto* const taken = new handed_over(*this, input_.view());
        ex.source = nullptr;
        ex.end_trace(nullptr);
        input_.reset(0);
        return raw_stream::owning(*taken);
    }
    /// Gives the connection up, unless the rest of the body is there already.
    void skip(client_exchange& ex) noexcept {
        input_.consume(std::exchange(ex.piece, 0U));
        while (!ex.ended && !ex.failed && !input_.empty()) {
            const auto piece = take_piece(ex);
            if (!piece) {
                break;
            }
            input_.consume(std::exchange(ex.piece, 0U));
        }
        finish(ex, ex.ended && !ex.failed);
    }

private:
    static constexpr std::size_t early_limit = 16'384;   // octets of a body that are copied to free its connection
    static constexpr std::uint64_t drain_limit = 65'536; // octets that cost less than another connection
    static constexpr seconds drain_time{1};

    // The connection of somebody else's protocol: it counts in the pool until it is closed.
    class handed_over final : public flux::detail::raw_connection_of<Stream> {
    public:
        handed_over(client_connection& c, std::string_view came)
            : flux::detail::raw_connection_of<Stream>(c.stream_, came), connection_(&c) {}
        void close() noexcept override {
            connection_->stream_.close();
            end();
        }
        void abort() noexcept override {
            connection_->stream_.abort();
            end();
        }

    private:
        void end() noexcept {
            connection_->pool_->release(*connection_, false);
            delete this;
        }
        client_connection* connection_;
    };

    static flux::detail::child drain(client_connection* c, exchange_handle ex) {
        auto limit = co_await within(drain_time);
        for (std::uint64_t n = 0; ex->source != nullptr;) {
            const auto piece = co_await attempt(c->next(*ex));
            if (!piece || piece->empty()) {
                break; // next() has finished with the connection
            }
            n += piece->size();
            if (n > drain_limit) {
                c->finish(*ex, false);
            }
        }
        co_return result<void>();
    }

    [[nodiscard]] result<bool> accept_head(client_exchange& ex, std::string_view octets) {
        const response_head said_first = ex.parser.head(octets);
        if (said_first.status == status::switching_protocols && !(ex.asks_upgrade && is_what_was_offered(ex, said_first))) {
            return fail(error(errc::unexpected_upgrade));
        }
        const std::size_t size = ex.parser.consumed();
        ex.head_octets.clear();
        ex.head_octets.append(octets.substr(0, size));
        ex.head = ex.parser.head(ex.head_octets.view());
        input_.consume(size);
        ex.framing = body_length(ex.head, ex.method);
        if (ex.framing.error) {
            return fail(error(ex.framing.error.code));
        }
        if (ex.framing.kind == body_kind::length && ex.framing.length > ex.lim.body_octets) {
            return fail(error(errc::body_too_large));
        }
        const connection_options said = connection_of(ex.head);
        ex.persistent = said.persistent && !ex.asks_close && ex.framing.kind != body_kind::until_close &&
                        ex.framing.kind != body_kind::tunnel;
        if (ex.persistent && ex.head.fields.present().contains(field::keep_alive)) {
            read_keep_alive(ex.head.fields);
        }
        ex.left = ex.framing.length;
        ex.ended = ex.framing.kind == body_kind::none || ex.framing.kind == body_kind::tunnel ||
                   (ex.framing.kind == body_kind::length && ex.left == 0);
        if (ex.framing.kind == body_kind::chunked) {
            ex.chunks.reset();
        }
        ex.source = this;
        if (ex.trace != nullptr) {
            ex.trace->got_head(ex.elapsed(), ex.head.status);
        }
        return true;
    }
    // A server may only switch to what it was offered [RFC 9110 7.8].
    [[nodiscard]] static bool is_what_was_offered(const client_exchange& ex, const response_head& head) noexcept {
        const auto offers = fields_view(ex.fields).get_all(field::upgrade);
        const auto chosen = head.fields.get(field::upgrade).value_or("");
        bool any = false;
        for (const std::string_view protocol : list_elements(chosen)) {
            bool offered = false;
            for (auto it = offers.begin(); !(it == std::default_sentinel); ++it) {
                for (const std::string_view offer : list_elements(*it)) {
                    offered = offered || iequals(offer, protocol);
                }
            }
            if (!offered) {
                return false;
            }
            any = true;
        }
        return any;
    }
    void read_keep_alive(const fields_view& fields) noexcept {
        for (auto it = fields.get_all(field::keep_alive).begin(); !(it == std::default_sentinel); ++it) {
            for (const std::string_view element : list_elements(*it)) {
                const std::size_t equals = element.find('=');
                std::uint64_t n = 0;
                if (equals != std::string_view::npos && iequals(trim(element.substr(0, equals)), "timeout") &&
                    parse_decimal(trim(element.substr(equals + 1)), 1U << 30, n)) {
                    set_idle_limit(milliseconds(std::max<std::uint64_t>(n, 1) * 1000));
                }
            }
        }
    }

public:
    /// Takes what has come of a small body, so that the connection is free before anybody asks for the octets.
    void take_early(client_exchange& ex) {
        if (ex.framing.kind == body_kind::tunnel) {
            return; // what follows is not HTTP
        }
        if (ex.failed) {
            give_up(ex);
            return;
        }
        while (!ex.ended && !ex.failed && !input_.empty() && ex.early.size() < early_limit) {
            if (ex.framing.kind == body_kind::until_close ||
                (ex.framing.kind == body_kind::length && ex.left > early_limit)) {
                return;
            }
            const auto piece = take_piece(ex);
            if (!piece) {
                break_off(ex, piece.error());
                return;
            }
            ex.early.append(*piece);
            input_.consume(std::exchange(ex.piece, 0U));
        }
        if (ex.ended && !ex.failed) {
            finish(ex, true);
        }
    }

private:
    // The next octets of the body that are in the input; they are consumed when ex.piece is. Empty: there are none.
    [[nodiscard]] result<std::string_view> take_piece(client_exchange& ex) {
        const std::string_view octets = input_.view();
        if (ex.framing.kind == body_kind::chunked) {
            const chunk_step step = ex.chunks.next(octets);
            switch (step.event) {
            case chunk_event::failed: return fail(error(ex.chunks.error().code));
            case chunk_event::data: ex.piece = step.consumed; return step.data;
            case chunk_event::done: ex.ended = true; break;
            case chunk_event::need_more: break;
            }
            input_.consume(step.consumed);
            return std::string_view();
        }
        std::size_t n = octets.size();
        if (ex.framing.kind == body_kind::length) {
            n = static_cast<std::size_t>(std::min<std::uint64_t>(ex.left, n));
            ex.left -= n;
            ex.ended = ex.left == 0;
        } else if ((ex.left += n) > ex.lim.body_octets) { // counts up: nobody knows the length
            return fail(error(errc::body_too_large));
        }
        ex.piece = n;
        return octets.substr(0, n);
    }
    error break_off(client_exchange& ex, error e) {
        break_later(ex, std::move(e));
        give_up(ex);
        return *ex.failed;
    }
    void give_up(client_exchange& ex) {
        if (!ex.is_hop) {
            ex.end_trace(&*ex.failed);
        }
        finish(ex, false);
    }

    Stream stream_;
    flux::detail::octet_input input_;
    pool_core* pool_ = nullptr;
    std::uint32_t interim_ = 0;
    bool continued_ = false;
};

} // namespace flux::inline FLUX_ABI::http::detail
