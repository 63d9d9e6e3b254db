// SPDX-License-Identifier: MIT
// flux/zlib/compress.hpp - a layer of servers: answers coded with gzip for clients that accept it, coded requests decoded.
//
//   response, or what a streaming handler writes --is it worth it? does the client accept it?--> encoder --> chunks
//
// What is coded says so, gets a weak ETag and no ranges; whatever could have been coded says Vary, whoever asked.
// Deliberately not here: files that are stored coded (file_options::precompressed).
#pragma once

#include <flux/coro/sleep.hpp>
#include <flux/http/message/content_coding.hpp>
#include <flux/http/message/content_type.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>
#include <flux/zlib/body.hpp>
#include <flux/zlib/encoder.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Tunables of the layer; copied.
struct compress_options {
    /// 1 (fast) to 9 (small).
    int level = 5;
    /// Octets of a body below which coding is not worth it; a length that is not known beforehand counts as larger.
    std::size_t min_octets = 512;
    /// Requests whose Content-Encoding is gzip or deflate are decoded before the handler reads them; other codings are
    /// answered 415. Off: handlers get what was sent.
    bool decode_requests = false;
    /// Over it, such a request is answered 413.
    zlib::decoder_limits decoding{};
};
static_assert(std::is_trivially_destructible_v<compress_options>);

namespace detail {

/// Whether content of a type gets smaller: text, and what is text in all but name.
[[nodiscard]] inline bool is_compressible(std::string_view type) noexcept {
    const auto media = content_type::parse(type);
    if (!media) {
        return false;
    }
    const std::string_view sub = media->subtype();
    if (iequals(media->type(), "text") || media->is_json() || (sub.size() > 4 && iequals(sub.substr(sub.size() - 4), "+xml"))) {
        return true;
    }
    for (const std::string_view known : {"application/javascript", "application/xml", "application/wasm", "application/x-ndjson",
                                         "application/yaml", "application/rtf", "font/ttf", "font/otf", "image/bmp",
                                         "image/x-icon", "application/vnd.ms-fontobject"}) {
        if (media->is(known)) {
            return true;
        }
    }
    return false;
}

/// Whether an answer may be coded at all.
[[nodiscard]] inline bool may_be_coded(status code, const fields& f, std::optional<std::uint64_t> length, std::size_t min_octets) {
    if (is_bodyless(code) || code == status::partial_content || f.contains(field::content_encoding) ||
        f.contains(field::content_range) || f.has_token(field::cache_control, "no-transform") ||
        f.contains("Content-Digest") || f.contains("Digest")) {
        return false;
    }
    const auto type = f.get(field::content_type);
    return (!length || *length >= min_octets) && type && is_compressible(*type);
}

/// Adds a name to Vary, unless that says it already.
inline void vary_by(fields& f, std::string_view name) {
    if (f.has_token(field::vary, name) || f.has_token(field::vary, "*")) {
        return;
    }
    std::string all;
    for (const std::string_view line : f.get_all(field::vary)) {
        (all += line) += ", ";
    }
    f.set(field::vary, all += name);
}

/// Makes the fields those of the coded content. Source: RFC 9110 8.8.1 (the octets differ: no strong validator).
inline void describe_coded(fields& f) {
    f.set(field::content_encoding, "gzip");
    f.remove(field::accept_ranges);
    if (const auto tag = f.get(field::etag); tag && !tag->starts_with("W/")) {
        const std::string weak = "W/" + std::string(*tag);
        f.set(field::etag, weak);
    }
}

/// Encoders that nobody uses now: a quarter of a megabyte each that need not be made anew for each answer.
class encoder_pool {
public:
    [[nodiscard]] static zlib::encoder take(int level) {
        encoder_pool& pool = mine();
        for (auto& slot : pool.slots_) {
            if (slot && slot->level == level) {
                zlib::encoder e = std::move(slot->encoder);
                slot.reset();
                e.reset();
                return e;
            }
        }
        return zlib::encoder(zlib::coding::gzip, level);
    }
    static void give(zlib::encoder&& e, int level) noexcept {
        for (auto& slot : mine().slots_) {
            if (!slot) {
                slot.emplace(std::move(e), level);
                return;
            }
        }
    }

private:
    struct kept {
        kept(zlib::encoder&& e, int l) noexcept : encoder(std::move(e)), level(l) {}
        zlib::encoder encoder;
        int level;
    };
    // Not inlined: a coroutine must not keep the address of a thread's variable over a suspension.
    [[nodiscard, gnu::noinline]] static encoder_pool& mine() {
        static thread_local encoder_pool pool;
        return pool;
    }
    std::optional<kept> slots_[4]; // some 1 MiB for each thread
};

/// Codes what is written to it, and writes that to `Out`: a body_writer or responder.
template <class Out>
class coding_sink final : public body_sink {
public:
    coding_sink(Out& out, int level) : out_(&out), level_(level), encoder_(encoder_pool::take(level)) {}
    coding_sink(const coding_sink&) = delete;
    coding_sink& operator=(const coding_sink&) = delete;
    ~coding_sink() { encoder_pool::give(std::move(encoder_), level_); }

    [[nodiscard]] task<> write(std::string_view octets) override { // lint_coro: allow parameter: borrowed until it ends
        while (!octets.empty()) { // in pieces, so that a large body does not hold up others
            const std::string_view piece = octets.substr(0, piece_octets);
            octets.remove_prefix(piece.size());
            encoder_.write(piece, coded_);
            const auto sent = co_await attempt(send_if_above(gathered_octets));
            if (!sent) {
                co_await fail(sent.error());
            }
            if (!octets.empty()) {
                co_await sleep_for(duration::zero());
            }
        }
    }
    [[nodiscard]] task<> flush() override {
        encoder_.flush(coded_);
        const auto sent = co_await attempt(send_if_above(0));
        if (!sent) {
            co_await fail(sent.error());
        }
        co_await out_->flush();
    }
    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) override {
        return out_->add_trailer(name, value);
    }
    /// Ends the coded content.
    [[nodiscard]] task<> finish() {
        encoder_.finish(coded_);
        return send_if_above(0);
    }

private:
    static constexpr std::size_t piece_octets = 65'536;
    static constexpr std::size_t gathered_octets = 8192;

    [[nodiscard]] task<> send_if_above(std::size_t limit) {
        if (coded_.size() > limit) {
            const auto sent = co_await attempt(out_->write(coded_.view()));
            coded_.clear();
            if (!sent) {
                co_await fail(sent.error());
            }
        }
    }

    Out* out_;
    int level_;
    zlib::encoder encoder_;
    byte_buffer coded_;
};

// The body of `whole`, coded.
template <class Whole>
task<> send_coded(body_writer& out, Whole& whole, int level) {
    coding_sink<body_writer> sink(out, level);
    if (whole.is_streamed()) {
        body_writer to(sink);
        const auto produced = co_await attempt(whole.producer()(to));
        if (!produced) {
            co_await fail(produced.error());
        }
    } else {
        const auto written = co_await attempt(sink.write(whole.octets()));
        if (!written) {
            co_await fail(written.error());
        }
    }
    co_await sink.finish();
}

class coded_body {
public:
    coded_body(response whole, int level) : whole_(flux::detail::make_owner<response>(std::move(whole))), level_(level) {}
    [[nodiscard]] task<> operator()(body_writer& out) const { return send_coded(out, *whole_, level_); }

private:
    flux::detail::owner<response> whole_;
    int level_;
};

/// Codes an answer if that is wanted and worth it.
inline void code_answer(response& answer, const request& req, const compress_options& options) {
    if (!may_be_coded(answer.code(), answer.fields(), answer.length(), options.min_octets)) {
        return;
    }
    vary_by(answer.fields(), "Accept-Encoding");
    if (!accepted_codings(req.fields()).prefers("gzip")) {
        return;
    }
    describe_coded(answer.fields());
    constexpr std::size_t at_once = 65'536; // octets that are coded here; more of them while they are sent
    if (!answer.is_streamed() && answer.octets().size() <= at_once) {
        zlib::encoder encoder = encoder_pool::take(options.level);
        byte_buffer coded;
        encoder.write(answer.octets(), coded);
        encoder.finish(coded);
        encoder_pool::give(std::move(encoder), options.level);
        answer.body(std::string(coded.view()));
        return;
    }
    response coded(answer.code());
    coded.fields() = std::move(answer.fields());
    coded.stream(coded_body(std::move(answer), options.level));
    answer = std::move(coded);
}

/// Stands between a streaming handler and its responder: decides when the head is known.
template <class Out>
class coding_response final : public response_sink {
public:
    coding_response(Out& out, const request& req, const compress_options& options) noexcept
        : out_(&out), req_(&req), options_(&options) {}
    coding_response(const coding_response&) = delete;
    coding_response& operator=(const coding_response&) = delete;
    ~coding_response() = default;

    [[nodiscard]] result<void> begin(status code, const fields& head, std::optional<std::uint64_t> length) override {
        fields f = head;
        const bool possible = may_be_coded(code, f, length, options_->min_octets);
        const bool coded = possible && accepted_codings(req_->fields()).prefers("gzip");
        if (possible) {
            vary_by(f, "Accept-Encoding");
        }
        if (coded) {
            describe_coded(f);
        }
        out_->code(code);
        const fields_view all = f.view();
        for (std::size_t i = 0; i < all.size(); ++i) {
            const field_view one = all[i];
            if (all.find(one.name) == i) {
                out_->header(one.name, one.value);
            } else {
                out_->add_header(one.name, one.value);
            }
        }
        if (length && !coded) {
            out_->length(*length);
        }
        if (coded && req_->method() != method::head) {
            sink_.emplace(*out_, options_->level);
        }
        return out_->begin();
    }
    [[nodiscard]] bool begun() const noexcept override { return out_->head_sent(); }
    [[nodiscard]] result<void> inform(status code, const fields& head) override { return out_->sink().inform(code, head); }
    [[nodiscard]] task<> write(std::string_view octets) override { // lint_coro: allow parameter: borrowed until it ends
        return sink_ ? sink_->write(octets) : out_->write(octets);
    }
    [[nodiscard]] task<> flush() override { return sink_ ? sink_->flush() : out_->flush(); }
    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) override {
        return out_->add_trailer(name, value);
    }
    [[nodiscard]] direct_output* direct(std::uint64_t octets) override { return sink_ ? nullptr : out_->direct(octets); }

    /// The handler has written all: ends the coded content.
    [[nodiscard]] task<> finish() {
        if (sink_) {
            co_await sink_->finish();
        }
    }

private:
    Out* out_;
    const request* req_;
    const compress_options* options_;
    std::optional<coding_sink<Out>> sink_;
};

} // namespace detail

/// Codes answers with gzip: `app.use(http::compress());`.
///
/// Coded are answers of types that get smaller (text, JSON, XML, scripts, fonts), to clients whose Accept-Encoding
/// prefers gzip; streamed ones piece by piece, and flushed where the handler flushes. Left alone: small and coded answers,
/// parts (206), those that say no-transform or carry a digest. An answer that depends on secrets and on what an attacker
/// can choose tells its length: do not code those, or say no-transform (the attack is known as BREACH).
/// Put it outside of layers that change bodies, and inside of those that log lengths.
/// Threads  calls: any.
/// Cost     270 KiB while an answer is coded; encoders are kept for each thread.
class compress {
public:
    explicit compress(compress_options options = compress_options()) noexcept : options_(options) {}

    template <std::same_as<next> Next> // a template, so that only those who use the layer compile the coroutine
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        if (options_.decode_requests && req.fields().contains(field::content_encoding)) {
            return decode_first(*this, req, inner);
        }
        return answer(*this, req, inner);
    }

private:
    template <class Next>
    static task<response> answer(const compress& self, request& req, Next& inner) {
        responder* const out = req.streams_to();
        if (out == nullptr) {
            auto plain = co_await attempt(inner(req));
            if (plain) {
                detail::code_answer(*plain, req, self.options_);
            }
            co_return std::move(plain);
        }
        detail::coding_response<responder> sink(*out, req, self.options_);
        responder coding(sink);
        auto plain = co_await attempt(through(coding, *out, req, inner));
        if (!plain) {
            co_return std::move(plain);
        }
        if (!req.was_streamed()) { // a layer has answered for the handler
            detail::code_answer(*plain, req, self.options_);
            co_return std::move(plain);
        }
        const auto ended = co_await attempt(sink.finish());
        if (!ended) {
            co_return fail(ended.error());
        }
        co_return std::move(plain);
    }
    template <class Next>
    static task<response> through(responder& coding, responder& out, request& req, Next& inner) {
        class scope {
        public:
            scope(request& r, responder& inside, responder& outside) noexcept : req_(&r), outside_(&outside) {
                r.set_streams_to(&inside);
            }
            scope(const scope&) = delete;
            scope& operator=(const scope&) = delete;
            ~scope() { req_->set_streams_to(outside_); }

        private:
            request* req_;
            responder* outside_;
        };
        const scope inside(req, coding, out);
        co_return co_await attempt(inner(req));
    }

    template <class Next>
    static task<response> decode_first(const compress& self, request& req, Next& inner) {
        const std::string_view name = trim(req.header(field::content_encoding));
        const auto coding = zlib::to_coding(name);
        const bool several = req.fields().repeated().contains(field::content_encoding);
        if (iequals(name, "identity") && !several) {
            co_return co_await attempt(answer(self, req, inner));
        }
        if (!coding || several) {
            co_return detail::plain_answer(status::unsupported_media_type).header(field::accept_encoding, "gzip, deflate");
        }
        class decoded_body {
        public:
            decoded_body(request& r, zlib::coding c, zlib::decoder_limits limits) noexcept
                : req_(&r), coded_(r.body()), source_(coded_, c, limits) {
                r.body() = body_reader(source_);
            }
            decoded_body(const decoded_body&) = delete;
            decoded_body& operator=(const decoded_body&) = delete;
            ~decoded_body() { req_->body() = coded_; }

        private:
            request* req_;
            body_reader coded_;
            zlib::basic_decoding_source<body_reader> source_;
        };
        const decoded_body body(req, *coding, self.options_.decoding);
        auto made = co_await attempt(answer(self, req, inner));
        if (!made && (req.streams_to() == nullptr || !req.streams_to()->head_sent())) {
            const std::error_code why = made.error().code();
            if (why == errc::bad_content_coding || why == errc::body_too_large) {
                co_return detail::plain_answer(describe(static_cast<errc>(why.value())).answer);
            }
        }
        co_return std::move(made);
    }

    compress_options options_;
};

static_assert(middleware<compress>);

} // namespace flux::inline FLUX_ABI::http
