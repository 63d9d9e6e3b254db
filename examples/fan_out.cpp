// SPDX-License-Identifier: MIT
// Fetches several URLs at once, within one deadline; the first failure ends the others.
//
//   fan_out URL...            fan_out http://127.0.0.1:8080/hello/{1,2,3}
//
// Prints the size of each page. Exit status 0 if all came, 1 with the reason otherwise.
#include <flux.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

flux::task<> app(std::vector<std::string> urls) {
    auto limit = co_await flux::within(3s); // covers everything below
    http::client api;
    std::vector<flux::task<std::string>> jobs;
    for (const std::string& url : urls) {
        jobs.push_back(api.get(url).text());
    }
    auto pages = co_await flux::when_all(std::move(jobs));
    for (std::size_t i = 0; i < pages.size(); ++i) {
        std::printf("%zu %s\n", pages[i].size(), urls[i].c_str());
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: fan_out URL...\n");
        return 2;
    }
    return flux::run(app(std::vector<std::string>(argv + 1, argv + argc)));
}
