// SPDX-License-Identifier: MIT
// Follows the links of a site, level by level: so many pages at a time, all within one deadline, and the first page
// that cannot be had stops everything.
//
//   crawl URL [DEPTH [AT_A_TIME [SECONDS]]]          crawl http://127.0.0.1:8080/ 3 8 30
//
// Prints the size and the URL of every page. Exit status 0 if all of them came, 130 if a signal came first.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <flux.hpp>

namespace http = flux::http;

namespace {

using links = std::vector<std::string>;

// What the attributes href and src of a page name, within its origin and without fragments. No parser of HTML: what
// stands in a comment counts, too.
links find_links(const http::url& page, std::string_view text) {
    links found;
    for (const std::string_view attribute : {"href=", "src="}) {
        for (std::size_t at = text.find(attribute); at != std::string_view::npos; at = text.find(attribute, at)) {
            at += attribute.size();
            const char quote = at < text.size() ? text[at] : ' ';
            const std::size_t end = quote == '"' || quote == '\'' ? text.find(quote, at + 1) : std::string_view::npos;
            if (end == std::string_view::npos) {
                continue;
            }
            std::string reference(text.substr(at + 1, end - at - 1));
            for (std::size_t amp = 0; (amp = reference.find("&amp;", amp)) != std::string::npos;) {
                reference.erase(++amp, 4);
            }
            if (const auto u = page.resolve(reference.substr(0, reference.find('#'))); u && same_origin(page, *u)) {
                found.emplace_back(u->text());
            }
        }
    }
    return found;
}

flux::task<links> visit(http::client* api, std::string where) {
    auto r = co_await api->get(where);
    const std::string text = co_await r.text();
    if (!r.ok()) {
        co_return flux::fail(
            flux::error(http::errc::unexpected_status).doing(where + ": " + std::to_string(to_number(r.code()))));
    }
    std::printf("%9zu  %s\n", text.size(), where.c_str());
    if (!r.header("Content-Type").starts_with("text/html")) {
        co_return links();
    }
    co_return find_links(r.url(), text);
}

flux::task<> crawl(std::string start, int depth, std::size_t at_a_time, std::chrono::seconds patience) {
    auto limit = co_await flux::within(patience); // covers every page below
    http::client api;
    std::set<std::string> seen = {start};
    links level = {start};
    auto look = [&api](std::string where) { return visit(&api, std::move(where)); };
    for (int i = 0; i <= depth && !level.empty(); ++i) {
        const auto pages = co_await flux::map(level, at_a_time, look); // the first failure stops the others
        level.clear();
        for (const links& page : pages) {
            for (const std::string& link : page) {
                if (seen.insert(link).second) {
                    level.push_back(link);
                }
            }
        }
    }
    std::printf("%zu pages were not visited\n", level.size());
}

flux::task<int> crawl_or_stop(std::string start, int depth, std::size_t at_a_time, std::chrono::seconds patience) {
    const auto done = co_await flux::attempt(crawl(std::move(start), depth, at_a_time, patience));
    if (!done) {
        const bool stopped = done.error().is(flux::errc::shutdown);
        std::fprintf(stderr, "crawl: %s\n", stopped ? "stopped" : done.error().what());
        co_return stopped ? 130 : 1;
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    const auto number = [&](int i, long otherwise) {
        char* end = nullptr;
        const long n = argc > i ? std::strtol(argv[i], &end, 10) : otherwise;
        return end != nullptr && (end == argv[i] || *end != '\0' || n > 1'000'000) ? -1 : n;
    };
    const long depth = number(2, 3), at_a_time = number(3, 8), seconds = number(4, 30);
    const auto start = http::url::parse(argc > 1 ? argv[1] : "");
    if (!start || argc > 5 || depth < 0 || at_a_time < 1 || seconds < 1) {
        std::fprintf(stderr, "usage: crawl URL [DEPTH [AT_A_TIME [SECONDS]]]\n");
        return 2;
    }
    return flux::run(crawl_or_stop(std::string(start->text()), static_cast<int>(depth),
                                   static_cast<std::size_t>(at_a_time), std::chrono::seconds(seconds)));
}
