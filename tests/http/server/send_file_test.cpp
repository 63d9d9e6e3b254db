// SPDX-License-Identifier: MIT
#include <flux/http/server/send_file.hpp> // also proves the header is self-contained

#include <flux/http/server/router.hpp>
#include <http/server/over_tcp.hpp>
#include <http/server/serve_octets.hpp>
#include <support/driver_matrix.hpp>
#include <support/file_of.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <tuple>

#include <fcntl.h>
#include <stdlib.h>

using namespace flux;
using namespace std::chrono_literals;
using flux_test::body_of;
using flux_test::over_tcp;
using test_support::file_of;
using test_support::on_each_driver;
using test_support::pattern;
using test_support::run;

namespace {

struct sender {
    int file;
    std::uint64_t at;
    std::uint64_t size;
    http::response operator()() const {
        const sender self = *this;
        return http::response().stream(
            [self](http::body_writer& out) -> task<> { co_await http::send_file(out, self.file, self.at, self.size); }, self.size);
    }
};

} // namespace

TEST_SUITE("http/server/send_file") {
    TEST_CASE("a part of a file is a body, over a socket and over memory") {
        const std::string text = pattern(3'000'000);
        const unique_fd file = file_of(text);
        http::router app;
        app.get("/", sender{file.get(), 1, 2'999'998});
        app.get("/small", sender{file.get(), 5, 20});
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            for (const auto& [target, at, size] : {std::tuple("/", std::size_t{1}, std::size_t{2'999'998}), {"/small", 5, 20}}) {
                const std::string request = std::string("GET ") + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                const std::string answer = run(r, over_tcp(&app, request, [](std::string&) {}));
                CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
                CHECK(answer.find("Content-Length: " + std::to_string(size) + "\r\n") != std::string::npos);
                CHECK((body_of(answer) == text.substr(at, size)));
            }
        });
        const auto served = flux_test::serve(app, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        CHECK((body_of(served.octets) == text.substr(1, 2'999'998)));
        CHECK(!served.reset);
    }

    TEST_CASE("a connection goes on after a file, and answers before and after it are in order") {
        const unique_fd file = file_of(pattern(100'000));
        http::router app;
        app.get("/", sender{file.get(), 0, 100'000});
        app.get("/text", [] { return "text"; });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            const std::string answer = run(r, over_tcp(&app, "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
                                                            "GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                                                      [](std::string&) {}));
            const std::size_t second = answer.find("Content-Length: 100000\r\n\r\n");
            REQUIRE(second != std::string::npos);
            CHECK((answer.substr(second + 26, 100'000) == pattern(100'000)));
            CHECK(answer.find("\r\n\r\ntext") < second);
            CHECK(answer.ends_with("\r\n\r\ntext"));
        });
    }

    TEST_CASE("a file that gets shorter while it is sent ends the connection with a reset, not with a short body") {
        http::router app;
        const unique_fd file = file_of(pattern(30'000'000));
        app.get("/", sender{file.get(), 0, 30'000'000});
        const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            REQUIRE(::ftruncate(file.get(), 30'000'000) == 0);
            const std::string answer = run(r, over_tcp(&app, request, [&](std::string& all) {
                if (all.size() > 100'000 && all.size() < 1'000'000) {
                    REQUIRE(::ftruncate(file.get(), 10'000'000) == 0);
                }
            }));
            CHECK(answer.ends_with("RESET"));
            CHECK(answer.size() < 20'000'000);
        });
        REQUIRE(::ftruncate(file.get(), 0) == 0);
        const auto served = flux_test::serve(app, request);
        CHECK(served.reset);
    }

    TEST_CASE("a file whose content changes while it is sent ends the connection, though its size is right") {
        http::router app;
        const unique_fd file = file_of(pattern(30'000'000));
        app.get("/", sender{file.get(), 0, 30'000'000});
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            bool changed = false;
            const std::string answer = run(r, over_tcp(&app, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", [&](std::string& all) {
                if (all.size() > 100'000 && !changed) {
                    changed = true;
                    REQUIRE(::pwrite(file.get(), "new", 3, 29'000'000) == 3);
                }
            }));
            CHECK(changed);
            CHECK(answer.ends_with("RESET"));
        });
    }

    TEST_CASE("more than the announced length is an error") {
        http::router app;
        const unique_fd file = file_of("0123456789");
        app.get("/", [&] {
            return http::response().stream(
                [&](http::body_writer& out) -> task<> { co_await http::send_file(out, file.get(), 0, 10); }, 5);
        });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            const std::string answer = run(r, over_tcp(&app, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", [](std::string&) {}));
            CHECK(answer.ends_with("RESET"));
            CHECK(answer.find("01234") == std::string::npos);
        });
    }

    TEST_CASE("a streaming handler sends files, too, in chunks where no length is announced") {
        http::router app;
        const unique_fd file = file_of("0123456789");
        app.get("/", [&](http::request&, http::responder& out) -> task<> {
            co_await http::send_file(out, file.get(), 0, 4);
            co_await out.write("-");
            co_await http::send_file(out, file.get(), 4, 6);
        });
        app.get("/length", [&](http::request&, http::responder& out) -> task<> {
            out.length(11);
            co_await http::send_file(out, file.get(), 0, 4);
            co_await out.write("-");
            co_await http::send_file(out, file.get(), 4, 6);
        });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            const auto get = [&](std::string line) {
                return body_of(run(r, over_tcp(&app, "GET " + line + "\r\nHost: a\r\nConnection: close\r\n\r\n", [](std::string&) {})));
            };
            CHECK(get("/ HTTP/1.1") == "4\r\n0123\r\n1\r\n-\r\n6\r\n456789\r\n0\r\n\r\n");
            CHECK(get("/length HTTP/1.1") == "0123-456789");
            CHECK(get("/ HTTP/1.0") == "0123-456789");
        });
    }

    TEST_CASE("octets that are not in memory are read elsewhere first, and arrive") {
        std::string name = (std::filesystem::temp_directory_path() / "flux-cold-XXXXXX").string();
        const unique_fd file(::mkstemp(name.data()));
        REQUIRE(file.is_open());
        ::unlink(name.c_str());
        const std::string text = pattern(3'000'000);
        REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<::ssize_t>(text.size()));
        const auto forget = [&] {
            REQUIRE(::fsync(file.get()) == 0);
            REQUIRE(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
            if (detail::in_memory(file.get(), 0, text.size())) {
                MESSAGE("this file system keeps everything in memory");
            }
        };
        http::router app;
        app.get("/", sender{file.get(), 0, text.size()});
        app.get("/copied", [&](http::request&, http::responder& out) -> task<> { // chunks: not by sendfile(2)
            co_await http::send_file(out, file.get(), 0, text.size());
        });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            forget();
            const std::string direct = run(r, over_tcp(&app, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [](std::string&) {}));
            CHECK((body_of(direct) == text));
            forget();
            const std::string copied = run(r, over_tcp(&app, "GET /copied HTTP/1.0\r\n\r\n", [](std::string&) {}));
            CHECK((body_of(copied) == text));
        });
    }

    TEST_CASE("a client that does not read is cut off after the write timeout") {
        http::router app;
        const unique_fd file = file_of(pattern(30'000'000));
        app.get("/", sender{file.get(), 0, 30'000'000});
        http::server_options options;
        options.write_timeout = 30ms;
        const auto scenario = [](const http::router* a, http::server_options o) -> task<> {
            auto ctx = co_await this_context();
            auto listener = tcp_listener::listen(reactor::of(ctx.home()), endpoint::loopback(0)).value();
            const auto where = listener.local_endpoint().value();
            http::detail::server_core core(*a, o);
            auto client = co_await test_support::any_connect(where);
            auto accepted = co_await listener.accept();
            task_scope scope(ctx, scope_policy::collect);
            scope.spawn_frame(test_support::serve_any(core, std::move(accepted)));
            co_await client.write_all(as_octets("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            const auto joined = co_await attempt(scope.join()); // it comes to an end although nobody reads
            ignore_result(joined, "how a connection ends is not of interest here");
            CHECK(core.stats.connections == 0);
            client.close();
            listener.close();
        };
        on_each_driver([&](const reactor_options& driver) {
            reactor r(driver);
            run(r, scenario(&app, options));
        });
    }
}
