// SPDX-License-Identifier: MIT
// tests/client/peer_cases.hpp - reads tests/client/cases; README.md describes the form.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/wire/corpus.hpp"

namespace peer_cases {

struct step {
    std::string verb;
    std::string octets;
    long number = 0; // of trickle, flood, pause
};
struct script {
    char origin = 'a';
    std::vector<step> steps;
};
struct ask {
    std::string url;
    std::string method;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string data;
    bool has_data = false;
    std::map<std::string, long> options;
    bool ok = false;
    int status = 0;
    std::string error_class;
    std::string body;
    bool has_body = false;
    std::map<std::string, long> also; // attempts, reused
};
struct test_case {
    std::string name;
    std::string only;
    std::vector<ask> asks;
    std::vector<script> scripts;
    std::map<char, long> accepted = {{'a', 1}, {'b', 0}};
};

using line = std::pair<std::string, std::string>; // key, value

inline std::string octets_of(std::string_view text) {
    std::string out;
    std::optional<std::size_t> mark;
    corpus::append_octets(text, out, mark);
    return out;
}
inline std::string replaced(std::string text, const std::string& what, const std::string& by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
        text.replace(at, what.size(), by);
    }
    return text;
}

inline step make_step(const std::string& verb, const std::string& value) {
    step s;
    s.verb = verb;
    std::string rest = value;
    if (verb == "trickle" || verb == "flood" || verb == "pause") {
        s.number = std::stol(value);
        const std::size_t space = value.find(' ');
        rest = space == std::string::npos ? std::string() : value.substr(space + 1);
    }
    s.octets = octets_of(rest);
    return s;
}
inline std::map<std::string, long> numbers(std::istringstream& words) {
    std::map<std::string, long> out;
    for (std::string word; words >> word;) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos) {
            continue; // a reason phrase
        }
        out[word.substr(0, equals)] = std::stol(word.substr(equals + 1));
    }
    return out;
}

inline test_case make_case(const std::vector<line>& lines) {
    test_case c;
    for (const auto& [key, value] : lines) {
        std::istringstream words(value);
        if (key == "name") {
            c.name = value;
        } else if (key == "only") {
            c.only = value;
        } else if (key == "get") {
            c.asks.emplace_back();
            c.asks.back().url = octets_of(value);
            c.asks.back().method = "GET";
        } else if (key == "peer") {
            c.scripts.emplace_back();
            c.scripts.back().origin = value.at(0);
        } else if (key == "accepted") {
            for (const auto& [name, n] : numbers(words)) {
                c.accepted[name.at(0)] = n;
            }
        } else if (key == "method") {
            c.asks.back().method = octets_of(value);
        } else if (key == "field") {
            const std::size_t colon = value.find(": ");
            c.asks.back().fields.emplace_back(octets_of(value.substr(0, colon)), octets_of(value.substr(colon + 2)));
        } else if (key == "data") {
            c.asks.back().data = octets_of(value);
            c.asks.back().has_data = true;
        } else if (key == "option") {
            c.asks.back().options.merge(numbers(words));
        } else if (key == "body") {
            c.asks.back().body = octets_of(value);
            c.asks.back().has_body = true;
        } else if (key == "expect") {
            std::string outcome;
            std::string detail;
            words >> outcome >> detail;
            ask& a = c.asks.back();
            a.ok = outcome == "ok";
            if (a.ok) {
                a.status = std::stoi(detail);
            } else {
                a.error_class = detail;
            }
            a.also = numbers(words);
        } else if (key == "recv" || key == "head" || key == "want" || key == "lack" || key == "send" ||
                   key == "trickle" || key == "flood" || key == "pause" || key == "fin" || key == "close" ||
                   key == "rst") {
            c.scripts.back().steps.push_back(make_step(key, value));
        } else {
            throw std::runtime_error(c.name + ": unknown key " + key);
        }
    }
    return c;
}

// One case as written becomes one for each value of each `for`, and for each length of a `cut`.
inline void expand(std::vector<line> lines, std::vector<test_case>& out) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto [key, value] = lines[i];
        if (key == "for") {
            lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
            const std::size_t equals = value.find('=');
            const std::string name = "{" + value.substr(0, equals) + "}";
            std::istringstream values(value.substr(equals + 1));
            for (std::string v; std::getline(values, v, ',');) {
                std::vector<line> copy = lines;
                for (auto& l : copy) {
                    l.first = replaced(l.first, name, v);
                    l.second = replaced(l.second, name, v);
                    std::size_t from = 0;
                    for (char part = '1'; v.find('|') != std::string::npos && part < '4'; ++part) {
                        const std::size_t bar = std::min(v.find('|', from), v.size());
                        const std::string numbered = name.substr(0, name.size() - 1) + part + "}";
                        l.second = replaced(l.second, numbered, v.substr(std::min(from, v.size()), bar - from));
                        from = std::min(bar + 1, v.size());
                    }
                }
                copy.front().second += " (" + v + ")";
                expand(copy, out);
            }
            return;
        }
        if (key == "cut") {
            const std::string octets = octets_of(value);
            for (std::size_t n = 0; n < octets.size(); ++n) {
                std::vector<line> copy = lines;
                std::string escaped;
                for (const char c : octets.substr(0, n)) {
                    char hex[8];
                    std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned char>(c));
                    escaped += hex;
                }
                copy[i] = line("send", escaped);
                copy.front().second += " (" + std::to_string(n) + " octets)";
                expand(copy, out);
            }
            return;
        }
    }
    out.push_back(make_case(lines));
}

inline std::vector<test_case> load() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(corpus::data_dir() / "client" / "cases")) {
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<test_case> all;
    for (const auto& path : files) {
        std::ifstream in(path);
        std::vector<line> lines;
        for (std::string text; std::getline(in, text);) {
            if (text.empty() || text[0] == '#') {
                continue;
            }
            const std::size_t colon = text.find(':');
            if (colon == std::string::npos) {
                throw std::runtime_error(path.string() + ": not a `key: value` line: " + text);
            }
            const std::string key = text.substr(0, colon);
            if (key == "name" && !lines.empty()) {
                expand(std::exchange(lines, {}), all);
            }
            lines.emplace_back(key, text.size() > colon + 2 ? text.substr(colon + 2) : std::string());
        }
        if (!lines.empty()) {
            expand(lines, all);
        }
    }
    return all;
}

} // namespace peer_cases
