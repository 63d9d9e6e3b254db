// SPDX-License-Identifier: MIT
// flux/http/client/request_upload.hpp - a request whose body does not fit its first write, or waits for a 100.
//
//   head -> (100 Continue) -> producer -> request_sink -> stream        while the response is read beside it
//
// A final response ends the upload if it is 300 or above; the connection cannot be used again then. Below, its body is
// kept, within a limit, while the request is sent to its end: a server that answers while it reads must not be made to
// wait for a reader. A connection that breaks while the body is written may still hold a response: it is read before the
// error counts.
// Deliberately not here: requests that are one write (client.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/client/client_connection.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

inline constexpr std::size_t upload_threshold = 16'384; // octets of a body that go with the head in one write
inline constexpr std::size_t kept_answer = 1'048'576;    // octets beside as many as the request has in memory

/// The body of one request, on its way to the stream.
template <buffered_stream Stream>
class request_sink final : public body_sink {
public:
    request_sink(Stream& stream, byte_buffer& out, std::optional<std::uint64_t> length, milliseconds progress) noexcept
        : stream_(&stream), out_(&out), left_(length.value_or(0)), chunked_(!length), progress_(progress) {}
    request_sink(const request_sink&) = delete;
    request_sink& operator=(const request_sink&) = delete;

    [[nodiscard]] task<> write(std::string_view octets) override { // lint_coro: allow parameter: borrowed until it ends
        if (failed_) {
            co_await fail(*failed_);
        }
        if (octets.empty()) {
            co_return;
        }
        if (chunked_) {
            const chunk_header size_line(octets.size());
            out_->append(size_line.view());
        } else if (octets.size() > left_) {
            co_await fail(failed_.emplace(errc::body_length_mismatch));
        } else {
            left_ -= octets.size();
        }
        const std::string_view tail = chunked_ ? "\r\n" : "";
        if (octets.size() < gather_limit) {
            out_->append(octets);
            out_->append(tail);
            if (out_->size() < gather_limit) {
                co_return;
            }
            octets = {};
        }
        const auto sent = co_await attempt(send(octets, octets.empty() ? std::string_view() : tail));
        if (!sent) {
            co_await fail(sent.error());
        }
    }
    [[nodiscard]] task<> flush() override { return send({}, {}); }
    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) override {
        if (!chunked_) {
            return fail(error(flux::errc::invalid_argument).doing("trailer of a body that is not chunked"));
        }
        if (!allowed_as_trailer(to_field(name))) {
            return fail(error(flux::errc::invalid_argument).doing("trailer with a field that must be in the head"));
        }
        return trailers_.try_add(name, value);
    }

    /// Ends the body in the out buffer; does not send.
    [[nodiscard]] result<void> finish() {
        if (failed_) {
            return fail(*failed_);
        }
        if (chunked_) {
            if (const errc failed = write_last_chunk(*out_, trailers_); failed != errc::none) {
                return fail(error(failed));
            }
        } else if (left_ != 0) {
            return fail(error(errc::body_length_mismatch));
        }
        return {};
    }
    /// The stream's error, if it was the stream that failed.
    [[nodiscard]] const std::optional<error>& failed() const noexcept { return failed_; }

private:
    static constexpr std::size_t gather_limit = 16'384;

    [[nodiscard]] task<> send(std::string_view octets, // lint_coro: allow parameter: borrowed until it ends
                              std::string_view tail) {
        const const_buffer list[] = {as_octets(out_->view()), as_octets(octets), as_octets(tail)};
        if (out_->size() + octets.size() == 0) {
            co_return;
        }
        const auto sent = co_await attempt(
            with_timeout(or_for_ever(progress_), stream_->write_all(std::span<const const_buffer>(list))));
        out_->clear();
        if (!sent) {
            co_await fail(failed_.emplace(sent.error()));
        }
    }

    Stream* stream_;
    byte_buffer* out_;
    std::uint64_t left_;
    bool chunked_;
    milliseconds progress_;
    fields trailers_;
    std::optional<error> failed_;
};

/// What the two halves of an upload tell each other.
struct upload_state {
    bool done = false;
    std::optional<error> broken; ///< the connection failed while it was written to
    context_node* reading = nullptr; ///< what reads the body meanwhile, and ends with the upload

    void stop_reading() const noexcept {
        if (reading != nullptr) {
            reading->stop(stop_reason::canceled);
        }
    }
};

template <class Stream>
task<> send_body(client_connection<Stream>* c, client_exchange* ex, context_node* node, upload_state* state) {
    const client_options& options = ex->engine->options();
    const bool produced = ex->body == request_body_kind::produced;
    request_sink<Stream> sink(c->stream(), ex->out,
                              produced ? ex->produced_length : std::optional<std::uint64_t>(ex->body_octets().size()),
                              options.progress_timeout);
    body_writer writer(sink);
    auto ctx = co_await this_context();
    ex->sent_any = true;
    result<void> end;
    if (produced) {
        end = co_await attempt(ex->producer(writer));
    } else {
        end = co_await attempt(writer.write(ex->body_octets()));
    }
    if (end) {
        end = sink.finish();
    }
    if (end) {
        end = co_await attempt(sink.flush());
    }
    if (end) {
        state->done = ex->sent_whole = true;
        if (ex->trace != nullptr) {
            ex->trace->wrote_request(ex->elapsed());
        }
        node->limit(std::min(ex->deadline,
                             deadline_after(ctx.home().now(), or_for_ever(options.first_byte_timeout))));
        state->stop_reading();
        co_return;
    }
    if (sink.failed() && sink.failed()->kind() == error_kind::network && !ctx.stopped()) {
        state->broken.emplace(*sink.failed()); // there may be a response all the same
        state->stop_reading();
        co_return;
    }
    co_await fail(std::move(end).error());
}

/// Receives until the head is there. Params  for_continue  a 100 is enough. Returns  whether the head is complete.
template <class Stream>
task<bool> await_head(client_connection<Stream>* c, client_exchange* ex, bool for_continue) {
    for (;;) {
        auto octets = co_await attempt(c->stream().receive());
        if (!octets) {
            co_return fail(std::move(octets).error());
        }
        if (octets->empty()) {
            co_return fail(error(errc::incomplete_head));
        }
        c->add_input(*std::move(octets));
        const auto whole = c->take_head(*ex, ex->engine->options());
        if (!whole) {
            co_return fail(whole.error());
        }
        if (*whole || (for_continue && c->continued())) {
            co_return *whole;
        }
    }
}

/// Takes the body of a response to a request that is still being sent, until that has ended or `limit` octets are kept.
template <class Stream>
task<> keep_answer(client_connection<Stream>* c, client_exchange* ex, std::size_t limit) {
    auto ctx = co_await this_context();
    while (c->keep(*ex, limit)) {
        auto octets = co_await attempt(c->stream().receive());
        if (!octets && ctx.stopped()) {
            break; // what comes later is for who reads then
        }
        if (auto why = c->add_body(*ex, std::move(octets))) {
            c->break_later(*ex, *std::move(why));
        }
    }
}

/// Sends ex.out, which holds the head, and the body. Returns whether the head of the final response is complete.
/// Params  node  the context of the exchange, which the caller runs under
template <class Stream>
task<bool> upload_body(client_connection<Stream>* c, client_exchange* ex, context_node* node) {
    const client_options& options = ex->engine->options();
    const bool empty = ex->body == request_body_kind::none ||
                       (ex->body != request_body_kind::produced && ex->body_octets().empty());
    if (empty || ex->fields.has_token(field::expect, "100-continue")) {
        auto written = co_await attempt(
            with_timeout(or_for_ever(options.progress_timeout), c->stream().write_all(as_octets(ex->out.view()))));
        if (!written) {
            ex->sent_any = written.error().kind() != error_kind::network || written.error().bytes_sent() != 0;
            co_return fail(std::move(written).error());
        }
        ex->sent_any = true;
        ex->out.clear();
        if (ex->trace != nullptr) {
            ex->trace->wrote_head(ex->elapsed());
        }
        if (empty) {
            ex->sent_whole = true;
            co_return false;
        }
        auto answer = co_await attempt(
            with_timeout(or_for_ever(options.continue_timeout), await_head(c, ex, true)));
        if (answer && *answer) {
            co_return true; // an answer without the body: what is on the wire is not a whole request
        }
        if (!answer && (!answer.error().is(flux::errc::timed_out) || node->stopped())) {
            co_return fail(std::move(answer).error());
        }
    }
    auto ctx = co_await this_context();
    upload_state state;
    task_scope scope(ctx);
    scope.spawn(send_body<Stream>, c, ex, node, &state);
    using answering = task<bool>;
    result<bool> whole(false);
    std::exception_ptr thrown;
    try {
        whole = co_await attempt(flux::detail::under<answering>(scope.ctx().node(), await_head(c, ex, false)));
    } catch (...) { // by who listens to interim responses: it comes out when nobody sends any more
        thrown = std::current_exception();
    }
    if (thrown != nullptr || !whole || to_number(ex->head.status) >= 300) {
        scope.stop();
    } else if (!state.done && !state.broken) {
        context_node reading(scope.ctx().node());
        state.reading = &reading;
        const auto kept = co_await attempt(flux::detail::under<task<>>(
            reading, keep_answer(c, ex, kept_answer + ex->body_octets().size())));
        ignore_result(kept, "what is wrong with the body is noted there");
        state.reading = nullptr;
    }
    const auto sent = co_await attempt(scope.join());
    if (thrown != nullptr) {
        std::rethrow_exception(std::move(thrown));
    }
    if (whole) {
        co_return true;
    }
    if (!sent) {
        co_return fail(sent.error());
    }
    if (state.broken) {
        co_return fail(*state.broken);
    }
    co_return fail(std::move(whole).error());
}

} // namespace flux::inline FLUX_ABI::http::detail
