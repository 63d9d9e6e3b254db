// SPDX-License-Identifier: MIT
// bench/wire.cpp - what the HTTP/1.1 octets cost: heads in, heads out, chunked bodies.
//
// Run: bench_wire --benchmark_filter=request. To count instead of to time:
//
//     valgrind --tool=callgrind bench_wire --count hello_request 1000     and again with 3000
//
// The difference of the two collected numbers, divided by 2000, is the user instructions of one round.
#include <flux/http/wire/chunked.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/head_parser.hpp>
#include <flux/http/wire/head_writer.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

namespace http = flux::http;

const std::string hello = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n";
const std::string browser =
    "GET /search?q=coroutines&page=2 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\nsec-ch-ua-mobile: "
    "?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,"
    "application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: "
    "document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n";
const std::string answer = "HTTP/1.1 200 OK\r\nServer: flux\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
constexpr std::string_view date = "Sun, 06 Nov 1994 08:49:37 GMT";

std::string chunked_body(std::size_t chunks, std::size_t octets) {
    const http::chunk_header header(octets);
    std::string out;
    for (std::size_t i = 0; i < chunks; ++i) {
        ((out += header.view()) += std::string(octets, 'x')) += "\r\n";
    }
    return out += http::last_chunk;
}

// Room without growth, as a connection's output buffer has once warm.
class fixed_sink {
public:
    char* prepare(std::size_t) noexcept { return octets_ + used_; }
    void commit(std::size_t n) noexcept { used_ += n; }
    void clear() noexcept { used_ = 0; }
    [[nodiscard]] std::string_view view() const noexcept { return {octets_, used_}; }

private:
    std::size_t used_ = 0;
    char octets_[4096];
};
static_assert(http::octet_sink<fixed_sink>);

// One round each; the return value keeps the work alive.

class request_round {
public:
    explicit request_round(std::string_view octets) : octets_(octets) { storage_.reserve(32); }
    std::size_t operator()() {
        parser_.reset();
        if (parser_.parse(octets_) != http::parse_state::done) {
            std::abort();
        }
        const http::request_head head = parser_.head(octets_);
        return head.path.size() + static_cast<std::size_t>(http::body_length(head).kind) +
               (http::connection_of(head).persistent ? 1U : 0U);
    }

private:
    std::string_view octets_;
    http::limits limits_;
    http::field_storage storage_;
    http::request_parser parser_{limits_, storage_};
};

class response_round {
public:
    response_round() { storage_.reserve(32); }
    std::size_t operator()() {
        parser_.reset();
        if (parser_.parse(answer) != http::parse_state::done) {
            std::abort();
        }
        return http::body_length(parser_.head(answer), http::method::get).length;
    }

private:
    http::limits limits_;
    http::field_storage storage_;
    http::response_parser parser_{limits_, storage_};
};

class write_round {
public:
    write_round() { fields_.add(http::field::server, "flux").add(http::field::content_type, "text/plain"); }
    std::size_t operator()() {
        out_.clear();
        if (http::write_response_head(out_, {.length = 13, .date = date}, fields_) != http::errc::none) {
            std::abort();
        }
        return out_.view().size();
    }

private:
    http::fields fields_;
    fixed_sink out_;
};

class chunked_round {
public:
    chunked_round(std::size_t chunks, std::size_t octets) : body_(chunked_body(chunks, octets)) {}
    std::size_t operator()() {
        decoder_.reset();
        std::string_view rest = body_;
        std::size_t content = 0;
        while (true) {
            const http::chunk_step step = decoder_.next(rest);
            rest.remove_prefix(step.consumed);
            content += step.data.size();
            if (step.event != http::chunk_event::data) {
                return content;
            }
        }
    }

private:
    std::string body_;
    http::limits limits_;
    http::chunked_decoder decoder_{limits_};
};

class fields_round {
public:
    std::size_t operator()() {
        http::fields f;
        f.add(http::field::content_type, "text/plain").add("X-Request-ID", "0123456789abcdef");
        return f.lines().size();
    }
};

template <class Round>
void run(benchmark::State& state, Round round) {
    for (auto _ : state) {
        benchmark::DoNotOptimize(round());
    }
}

void hello_request(benchmark::State& state) {
    run(state, request_round(hello));
}
void browser_request(benchmark::State& state) {
    run(state, request_round(browser));
}
void hello_response(benchmark::State& state) {
    run(state, response_round());
}
void write_head(benchmark::State& state) {
    run(state, write_round());
}
void small_chunks(benchmark::State& state) {
    run(state, chunked_round(64, 16));
}
void large_chunks(benchmark::State& state) {
    run(state, chunked_round(4, 16384));
}
void build_fields(benchmark::State& state) {
    run(state, fields_round());
}

BENCHMARK(hello_request);
BENCHMARK(browser_request);
BENCHMARK(hello_response);
BENCHMARK(write_head);
BENCHMARK(small_chunks);
BENCHMARK(large_chunks);
BENCHMARK(build_fields);

template <class Round>
int count(Round round, long times) {
    std::size_t sum = 0;
    for (long i = 0; i < times; ++i) {
        sum += round();
    }
    std::printf("%zu\n", sum);
    return 0;
}

int count_named(std::string_view name, long times) {
    if (name == "hello_request") {
        return count(request_round(hello), times);
    }
    if (name == "browser_request") {
        return count(request_round(browser), times);
    }
    if (name == "hello_response") {
        return count(response_round(), times);
    }
    if (name == "write_head") {
        return count(write_round(), times);
    }
    if (name == "small_chunks") {
        return count(chunked_round(64, 16), times);
    }
    if (name == "large_chunks") {
        return count(chunked_round(4, 16384), times);
    }
    if (name == "build_fields") {
        return count(fields_round(), times);
    }
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 4 && std::strcmp(argv[1], "--count") == 0) {
        return count_named(argv[2], std::atol(argv[3]));
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
