// SPDX-License-Identifier: MIT
// A load generator for HTTP/1.1: connections, pipelining, a rate, a duration; what the latencies were.
//
//   load [--connections 64] [--pipeline 1] [--rate 0] [--duration 10] [--json] URL
//
// With --rate (requests per second in all) every request has a time at which it is due, and its latency counts from
// there: a server that stalls is charged for the requests that it kept from being sent (no "coordinated omission").
// Without a rate, each connection sends as soon as it may, and latencies count from sending. What was sent or due and
// has no answer at the end is counted apart. Ctrl-C ends it early, with the report. Exit status 0 if there were answers.
//
// It works on sockets and the wire layer and not on http::client, which does not pipeline. It is longer than the other
// examples because it has a histogram and two reports.
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <flux.hpp>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

// Counts of microseconds in buckets that are at most 1/64 wide.
class histogram {
public:
    void add(std::uint64_t us) {
        ++counts_[index(us)];
        ++total_;
        sum_ += us;
        max_ = std::max(max_, us);
    }
    [[nodiscard]] std::uint64_t percentile(double p) const {
        auto left = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * p / 100));
        for (std::size_t i = 0; i < counts_.size() && total_ != 0; ++i) {
            if (counts_[i] >= left) {
                return std::min(max_, upper(i));
            }
            left -= counts_[i];
        }
        return 0;
    }
    [[nodiscard]] double mean() const {
        return total_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(total_);
    }
    [[nodiscard]] std::uint64_t max() const { return max_; }

private:
    static std::size_t index(std::uint64_t us) {
        const auto shift = static_cast<unsigned>(std::max(7, static_cast<int>(std::bit_width(us))) - 7);
        return shift * 64 + (us >> shift);
    }
    static std::uint64_t upper(std::size_t i) {
        const std::size_t shift = i < 128 ? 0 : (i - 64) / 64;
        return ((std::uint64_t{i - shift * 64} + 1) << shift) - 1;
    }
    std::array<std::uint64_t, 64 * 60> counts_{};
    std::uint64_t total_ = 0, sum_ = 0, max_ = 0;
};

struct load {
    std::string request, host;
    std::uint16_t port = 80;
    std::uint32_t connections = 64, pipeline = 1;
    double rate = 0;
    flux::duration run_time = 10s;
    flux::time_point start{}, end{};
    histogram latency;
    std::uint64_t sent = 0, requests = 0, octets = 0, not_2xx = 0, failed_connects = 0, failed_exchanges = 0;
    std::string first_failure;

    // Between two requests of one connection; zero without a rate.
    [[nodiscard]] flux::duration every() const {
        return flux::duration(rate == 0 ? 0 : static_cast<std::int64_t>(1e9 * connections / rate));
    }
    void note(const flux::error& e, std::uint64_t& count) {
        if (e.kind() != flux::error_kind::cancelled) {
            ++count;
            first_failure = first_failure.empty() ? e.what() : first_failure;
        }
    }
};

// Reads one response after the other from one stream.
class responses {
public:
    responses(load& all, flux::socket_stream& stream)
        : all_(&all), stream_(&stream), parser_(limits_, fields_), chunks_(limits_) {}

    flux::task<bool> next() { // whether the connection can go on
        http::parse_state state{};
        while ((state = parser_.parse(octets_)) == http::parse_state::need_more) {
            co_await fill();
        }
        if (state == http::parse_state::failed) {
            co_await flux::fail(flux::error(parser_.error().code));
        }
        const auto head = parser_.head(octets_);
        const auto body = http::body_length(head, http::method::get);
        const bool goes_on = http::connection_of(head).persistent;
        all_->not_2xx += is_success(head.status) ? 0U : 1U;
        octets_.erase(0, parser_.consumed());
        parser_.reset();
        if (body.error || body.kind == http::body_kind::until_close || body.kind == http::body_kind::tunnel) {
            co_await flux::fail(flux::error(flux::errc::protocol).doing("a response that cannot be counted"));
        }
        for (std::uint64_t left = body.kind == http::body_kind::length ? body.length : 0; left != 0;) {
            const std::size_t n = std::min<std::uint64_t>(left, octets_.size());
            octets_.erase(0, n);
            left -= n;
            if (left != 0) {
                co_await fill();
            }
        }
        for (chunks_.reset(); body.kind == http::body_kind::chunked;) {
            const auto step = chunks_.next(octets_);
            octets_.erase(0, step.consumed);
            if (step.event == http::chunk_event::done) {
                break;
            }
            if (step.event == http::chunk_event::failed) {
                co_await flux::fail(flux::error(chunks_.error().code));
            }
            if (step.event == http::chunk_event::need_more) {
                co_await fill();
            }
        }
        co_return goes_on;
    }

private:
    flux::task<> fill() {
        auto piece = co_await stream_->receive();
        if (piece.empty()) {
            co_await flux::fail(flux::errc::eof);
        }
        all_->octets += piece.size();
        octets_ += flux::as_text(piece.octets());
    }
    load* all_;
    flux::socket_stream* stream_;
    std::string octets_;
    http::limits limits_{.body_octets = INT64_MAX};
    http::field_storage fields_;
    http::response_parser parser_;
    http::chunked_decoder chunks_;
};

// Requests over one connection until the time is over or it ends. `due`: when the next one is, with a rate.
flux::task<> exchange(load* all, flux::socket_stream* stream, flux::time_point* due) {
    const auto now = [] { return flux::clock::now(); };
    const flux::duration every = all->every();
    responses in(*all, *stream);
    std::vector<flux::time_point> sent;
    std::string batch;
    for (bool goes_on = true; goes_on && now() < all->end;) {
        if (all->rate != 0 && *due > now()) {
            co_await flux::sleep_until(*due);
        }
        sent.clear();
        batch.clear();
        while (sent.size() < all->pipeline && (all->rate == 0 || *due <= now())) {
            sent.push_back(all->rate == 0 ? now() : *due);
            *due += every;
            batch += all->request;
        }
        all->sent += sent.size();
        co_await stream->write_all(flux::as_octets(batch));
        for (std::size_t i = 0; i < sent.size() && goes_on; ++i) {
            goes_on = co_await in.next();
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now() - sent[i]).count();
            all->latency.add(static_cast<std::uint64_t>(std::max<std::int64_t>(took, 0)));
            ++all->requests;
            if (!goes_on) { // `Connection: close`: what came behind it has to be sent again
                const std::size_t left = sent.size() - i - 1;
                all->sent -= left;
                *due -= every * static_cast<std::int64_t>(left);
            }
        }
    }
}

flux::task<> connection(load* all, std::uint32_t number) {
    flux::tcp_connector to;
    flux::time_point due = all->start;
    if (all->rate != 0) { // spread over one interval
        due += flux::duration(static_cast<std::int64_t>(1e9 * number / all->rate));
    }
    auto here = co_await flux::this_context();
    while (!here.stopped() && flux::clock::now() < all->end) {
        auto stream = co_await flux::attempt(to.connect(flux::destination(all->host, all->port)));
        if (!stream) {
            all->note(stream.error(), all->failed_connects);
            flux::ignore_result(co_await flux::attempt(flux::sleep_for(10ms)), "the loop looks");
            continue;
        }
        const auto done = co_await flux::attempt(exchange(all, &*stream, &due));
        if (!done && done.error().kind() != flux::error_kind::timeout) {
            all->note(done.error(), all->failed_exchanges);
        }
    }
    const auto until = std::min(all->end, flux::clock::now());
    if (all->rate != 0 && due < until) { // was due, and could not even be sent
        all->sent += static_cast<std::uint64_t>((until - due - flux::duration(1)) / all->every()) + 1;
    }
}

flux::task<> all_connections(load* all) {
    auto here = co_await flux::this_context();
    flux::task_scope scope(here, flux::scope_policy::collect);
    for (std::uint32_t i = 0; i < all->connections; ++i) {
        scope.spawn(connection, all, i);
    }
    flux::ignore_result(co_await flux::attempt(scope.join()), "failures were counted");
}

// A point in time and no length: that would count from the loop's time, which may be some milliseconds ago.
flux::task<> generate(load* all) {
    all->start = flux::clock::now();
    all->end = all->start + all->run_time;
    auto work = all_connections(all); // what is in flight at the end does not count
    flux::ignore_result(co_await flux::attempt(flux::with_deadline(all->end, std::move(work))), "failures were counted");
    all->run_time = std::min(all->run_time, flux::clock::now() - all->start); // a signal may have come
}

void report(const load& all, bool json) {
    const double seconds = std::chrono::duration<double>(all.run_time).count();
    const auto ms = [&all](double p) { return static_cast<double>(all.latency.percentile(p)) / 1000; };
    const auto n = [](std::uint64_t x) { return static_cast<unsigned long long>(x); };
    const double rate = static_cast<double>(all.requests) / seconds,
                 mb = static_cast<double>(all.octets) / seconds / 1e6;
    std::printf(
        json ? "{\"requests\": %llu, \"seconds\": %.3f, \"requests_per_second\": %.1f, \"megabytes_per_second\": %.3f, "
               "\"not_2xx\": %llu, \"failed_connects\": %llu, \"failed_exchanges\": %llu, \"unanswered\": %llu, "
             : "%llu requests in %.3f s: %.1f per second, %.3f MB/s\n%llu not 2xx, %llu failed connects, %llu broken "
               "connections, %llu unanswered at the end\n",
        n(all.requests), seconds, rate, mb, n(all.not_2xx), n(all.failed_connects), n(all.failed_exchanges),
        n(all.sent - all.requests));
    std::printf(
        json ? "\"latency_ms\": {\"mean\": %.3f, \"50\": %.3f, \"75\": %.3f, \"90\": %.3f, \"99\": %.3f, \"99.9\": "
               "%.3f, \"max\": %.3f}}\n"
             : "latency in ms: mean %.3f, 50 %% %.3f, 75 %% %.3f, 90 %% %.3f, 99 %% %.3f, 99.9 %% %.3f, max %.3f\n",
        all.latency.mean() / 1000, ms(50), ms(75), ms(90), ms(99), ms(99.9),
        static_cast<double>(all.latency.max()) / 1000);
}

} // namespace

int main(int argc, char** argv) {
    load all;
    bool json = false, good = argc > 1;
    for (int i = 1; i < argc - 1 && good; ++i) {
        const std::string_view name = argv[i];
        json = json || name == "--json";
        if (name == "--json") {
            continue;
        }
        const double value = std::atof(argv[++i]);
        if (name == "--connections" && value >= 1 && value <= 100'000) {
            all.connections = static_cast<std::uint32_t>(value);
        } else if (name == "--pipeline" && value >= 1 && value <= 1000) {
            all.pipeline = static_cast<std::uint32_t>(value);
        } else if (name == "--rate" && (value == 0 || value >= 0.001)) { // what intervals in nanoseconds can say
            all.rate = value;
        } else if (name == "--duration" && value > 0 && value <= 1e6) {
            all.run_time = flux::duration(static_cast<std::int64_t>(value * 1e9));
        } else {
            good = false;
        }
    }
    const auto where = http::url::parse(good ? argv[argc - 1] : "");
    if (!where || where->is_secure()) {
        std::fprintf(
            stderr,
            "usage: load [--connections N] [--pipeline N] [--rate R] [--duration SECONDS] [--json] http://...\n");
        return 2;
    }
    all.host = where->host_name();
    all.port = where->port();
    all.request =
        "GET " + std::string(where->target()) + " HTTP/1.1\r\nHost: " + std::string(where->authority()) + "\r\n\r\n";
    const int status = flux::run(generate(&all));
    report(all, json);
    if (!all.first_failure.empty()) {
        std::fprintf(stderr, "load: the first failure: %s\n", all.first_failure.c_str());
    }
    return status != 0 ? status : all.requests == 0 ? 1 : 0;
}
