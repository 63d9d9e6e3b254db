// SPDX-License-Identifier: MIT
// tests/http/wire/corpus.hpp - reads the cases of tests/corpus/http1 and runs one message through the wire layer.
//
// A case file is plain text; tests/corpus/http1/README.md describes it. The driver below is what a connection
// does without I/O: head, framing, body, trailers, one message after the other.
#pragma once

#include <flux/http/wire/chunked.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/head_parser.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace corpus {

namespace http = flux::http;

struct test_case {
    std::string file;
    std::string name;
    std::string octets;
    std::size_t mark = 0; // where the outcome is expected; the end of the octets unless \@ says otherwise
    std::vector<std::string> expect;
    http::limits limits;
    http::method asked = http::method::get;
};

// Turns the escapes of a send line into octets: \r \n \t \0 \\ \xHH, \*N{text} for repetition, \@ for the mark.
inline void append_octets(std::string_view text, std::string& out, std::optional<std::size_t>& mark) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        if (++i == text.size()) {
            throw std::runtime_error("escape at the end of a line");
        }
        switch (text[i]) {
        case 'r':
            out += '\r';
            break;
        case 'n':
            out += '\n';
            break;
        case 't':
            out += '\t';
            break;
        case '0':
            out += '\0';
            break;
        case '\\':
            out += '\\';
            break;
        case '@':
            mark = out.size();
            break;
        case 'x':
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
            break;
        case '*': {
            const std::size_t open = text.find('{', i);
            const std::size_t close = text.find('}', open);
            const unsigned long times = std::stoul(std::string(text.substr(i + 1, open - i - 1)));
            std::string piece;
            std::optional<std::size_t> none;
            append_octets(text.substr(open + 1, close - open - 1), piece, none);
            for (unsigned long k = 0; k < times; ++k) {
                out += piece;
            }
            i = close;
            break;
        }
        default:
            throw std::runtime_error("unknown escape: \\" + std::string(1, text[i]));
        }
    }
}

inline void set_limit(http::limits& lim, const std::string& assignment) {
    const std::size_t eq = assignment.find('=');
    const std::string name = assignment.substr(0, eq);
    const auto value = static_cast<std::uint32_t>(std::stoul(assignment.substr(eq + 1)));
    if (name == "start_line_octets") {
        lim.start_line_octets = value;
    } else if (name == "field_line_octets") {
        lim.field_line_octets = value;
    } else if (name == "head_octets") {
        lim.head_octets = value;
    } else if (name == "max_fields") {
        lim.max_fields = value;
    } else if (name == "empty_lines") {
        lim.empty_lines = value;
    } else if (name == "body_octets") {
        lim.body_octets = value;
    } else if (name == "chunk_extension_octets") {
        lim.chunk_extension_octets = value;
    } else if (name == "trailer_octets") {
        lim.trailer_octets = value;
    } else if (name == "max_trailers") {
        lim.max_trailers = value;
    } else {
        throw std::runtime_error("unknown limit " + name);
    }
}

inline std::vector<test_case> load_file(const std::filesystem::path& path) {
    std::vector<test_case> cases;
    std::ifstream in(path);
    std::string line;
    std::optional<std::size_t> mark;
    const auto finish = [&] {
        if (!cases.empty()) {
            cases.back().mark = mark.value_or(cases.back().octets.size());
        }
        mark.reset();
    };
    while (std::getline(in, line)) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        const std::size_t colon = line.find(": ");
        if (colon == std::string::npos) {
            throw std::runtime_error(path.string() + ": not a `key: value` line: " + line);
        }
        const std::string key = line.substr(0, colon);
        const std::string value = line.substr(colon + 2);
        if (key == "name") {
            finish();
            cases.emplace_back();
            cases.back().file = path.filename().string();
            cases.back().name = value;
        } else if (cases.empty()) {
            throw std::runtime_error(path.string() + ": a case starts with its name");
        } else if (key == "send") {
            append_octets(value, cases.back().octets, mark);
        } else if (key == "expect") {
            cases.back().expect.push_back(value);
        } else if (key == "asked") {
            cases.back().asked = http::to_method(value);
        } else if (key == "limits") {
            std::istringstream words(value);
            for (std::string word; words >> word;) {
                set_limit(cases.back().limits, word);
            }
        } else {
            throw std::runtime_error(path.string() + ": unknown key " + key);
        }
    }
    finish();
    return cases;
}

// The folder tests/: from the environment, from the build, or from where this file lies.
inline std::filesystem::path data_dir() {
    if (const char* dir = std::getenv("FLUX_TEST_DATA_DIR")) {
        return dir;
    }
#if defined(FLUX_TEST_DATA_DIR)
    return FLUX_TEST_DATA_DIR;
#else
    return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
#endif
}

inline std::vector<test_case> load(const char* direction) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(data_dir() / "corpus" / "http1" / direction)) {
        if (entry.path().extension() == ".txt") {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    std::vector<test_case> all;
    for (const auto& file : files) {
        for (auto& c : load_file(file)) {
            all.push_back(std::move(c));
        }
    }
    return all;
}

inline std::string printable(std::string_view octets) {
    std::string out;
    for (const char c : octets) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '\r') {
            out += "\\r";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (u < 0x20 || u >= 0x7f) {
            char hex[8];
            std::snprintf(hex, sizeof(hex), "\\x%02x", u);
            out += hex;
        } else {
            out += c;
        }
    }
    return out;
}

inline std::string or_dash(std::string_view octets) {
    return octets.empty() ? "-" : printable(octets);
}

// Reads messages of one direction. feed() is given everything from the start of the message, at any address.
class driver {
public:
    driver(bool requests, const http::limits& lim, http::method asked)
        : requests_(requests), asked_(asked), request_(lim, storage_), response_(lim, storage_), decoder_(lim) {}

    void next_message() {
        request_.reset();
        response_.reset();
        decoder_.reset();
        log_.clear();
        data_.clear();
        trailers_.clear();
        phase_ = phase::head;
        used_ = 0;
        outcome_ = "more";
    }

    // Returns true when the message is complete or refused.
    bool feed(std::string_view all) {
        if (phase_ == phase::head) {
            requests_ ? read_request(all) : read_response(all);
        }
        while (phase_ == phase::length && left_ != 0 && used_ < all.size()) {
            take(all.substr(used_, static_cast<std::size_t>(std::min<std::uint64_t>(left_, all.size() - used_))));
        }
        if (phase_ == phase::length && left_ == 0) {
            finish();
        }
        if (phase_ == phase::until_close) {
            take(all.substr(used_));
        }
        while (phase_ == phase::chunked) {
            const http::chunk_step step = decoder_.next(all.substr(used_));
            if (step.event == http::chunk_event::failed) {
                refuse(decoder_.error(), head_);
                break;
            }
            used_ += step.consumed;
            data_ += step.data;
            if (step.event == http::chunk_event::done) {
                for (const http::field_view f : decoder_.trailers()) {
                    trailers_.push_back("trailer " + printable(f.name) + ": " + printable(f.value));
                }
                finish();
            }
            if (step.event != http::chunk_event::data) {
                break;
            }
        }
        return phase_ == phase::finished;
    }

    void end_of_input() {
        if (phase_ == phase::until_close) {
            finish();
        }
    }
    // Where the message ended or went wrong, counted from its start.
    [[nodiscard]] std::size_t offset() const { return used_; }
    [[nodiscard]] std::vector<std::string> log() const {
        std::vector<std::string> out = log_;
        if (!data_.empty()) {
            out.push_back("data " + printable(data_));
        }
        out.insert(out.end(), trailers_.begin(), trailers_.end());
        out.push_back(outcome_);
        return out;
    }

private:
    enum class phase { head, length, chunked, until_close, finished };

    void read_request(std::string_view all) {
        const http::parse_state s = request_.parse(all);
        if (s == http::parse_state::failed) {
            return refuse(request_.error(), 0);
        }
        if (s == http::parse_state::need_more) {
            return;
        }
        used_ = head_ = request_.consumed();
        const http::request_head h = request_.head(all);
        static constexpr const char* forms[] = {"origin", "absolute", "authority", "asterisk"};
        log_.push_back("head " + std::string(h.method_token) + " " + forms[static_cast<int>(h.form)] + " " +
                       printable(h.target) + (h.version == http::version::http_1_0 ? " 1.0 " : " 1.1 ") +
                       or_dash(h.authority));
        log_.push_back("path " + or_dash(h.path) + (h.has_query ? " query " + or_dash(h.query) : ""));
        const http::body_framing body = http::body_length(h);
        describe(h.fields, http::connection_of(h), body);
        if (!body.error && h.fields.contains(http::field::expect)) {
            static constexpr const char* names[] = {"none", "continue", "unknown"};
            log_.push_back(std::string("expectation ") + names[static_cast<int>(http::expectation_of(h, body))]);
        }
    }
    void read_response(std::string_view all) {
        const http::parse_state s = response_.parse(all);
        if (s == http::parse_state::failed) {
            return refuse(response_.error(), 0);
        }
        if (s == http::parse_state::need_more) {
            return;
        }
        used_ = head_ = response_.consumed();
        const http::response_head h = response_.head(all);
        log_.push_back("head " + std::to_string(http::to_number(h.status)) +
                       (h.version == http::version::http_1_0 ? " 1.0 " : " 1.1 ") + or_dash(h.reason));
        describe(h.fields, http::connection_of(h), http::body_length(h, asked_));
    }
    void describe(const http::fields_view& fields, http::connection_options connection,
                  const http::body_framing& body) {
        for (const http::field_view f : fields) {
            log_.push_back("field " + printable(f.name) + ":" + (f.value.empty() ? "" : " ") + printable(f.value));
        }
        if (body.error) {
            return refuse(body.error, 0);
        }
        log_.push_back(std::string("connection ") + (connection.persistent ? "persistent" : "close") +
                       (connection.upgrade ? " upgrade" : ""));
        switch (body.kind) {
        case http::body_kind::none:
            log_.push_back("body none");
            return finish();
        case http::body_kind::tunnel:
            log_.push_back("body tunnel");
            return finish();
        case http::body_kind::length:
            log_.push_back("body length " + std::to_string(body.length));
            left_ = body.length;
            phase_ = phase::length;
            return;
        case http::body_kind::chunked:
            log_.push_back("body chunked");
            phase_ = phase::chunked;
            return;
        case http::body_kind::until_close:
            log_.push_back("body until_close");
            phase_ = phase::until_close;
            return;
        }
    }
    void take(std::string_view data) {
        data_ += data;
        used_ += data.size();
        left_ -= data.size();
    }
    void finish() {
        phase_ = phase::finished;
        outcome_ = "end";
    }
    void refuse(http::message_error e, std::size_t from) {
        phase_ = phase::finished;
        used_ = from + e.offset;
        outcome_ =
            "error " + std::to_string(http::to_number(e.answer())) + " " + std::string(http::describe(e.code).name);
    }

    bool requests_;
    http::method asked_;
    http::field_storage storage_;
    http::request_parser request_;
    http::response_parser response_;
    http::chunked_decoder decoder_;
    phase phase_ = phase::head;
    std::size_t used_ = 0;
    std::size_t head_ = 0;
    std::uint64_t left_ = 0;
    std::string data_;
    std::vector<std::string> log_;
    std::vector<std::string> trailers_;
    std::string outcome_ = "more";
};

// Empty if the log is what the case expects. Of the kinds of lines that the case names (the first word), the log
// must hold exactly those lines in that order; the outcome is always compared, and so is its place.
inline std::string mismatch(const test_case& c, const driver& d, bool check_offset) {
    const std::vector<std::string> log = d.log();
    std::vector<std::string> kinds = {"end", "error", "more"};
    const auto kind_of = [](const std::string& line) { return line.substr(0, line.find(' ')); };
    for (const std::string& line : c.expect) {
        kinds.push_back(kind_of(line));
    }
    std::string got;
    std::string want;
    for (const std::string& line : log) {
        if (std::find(kinds.begin(), kinds.end(), kind_of(line)) != kinds.end()) {
            got += line + "\n";
        }
    }
    for (const std::string& line : c.expect) {
        // `field Name` or `trailer -` alone says that there is no such line
        if (line != "field -" && line != "trailer -" && line != "data -") {
            want += line + "\n";
        }
    }
    if (got != want) {
        return "expected:\n" + want + "got:\n" + got;
    }
    if (check_offset && d.offset() != c.mark) {
        return "expected it at offset " + std::to_string(c.mark) + ", got it at " + std::to_string(d.offset());
    }
    return {};
}

} // namespace corpus
