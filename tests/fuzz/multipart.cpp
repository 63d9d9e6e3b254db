// SPDX-License-Identifier: MIT
// Multipart content that comes in pieces is taken apart like content that comes whole, within its limits, and what is
// written as a form is read as that form. Content-Disposition and file names from any octets.
// First octet: how it is cut, and by which limits it is judged. The rest: the content, whose boundary is "b".
#include <flux/http/message/content_disposition.hpp>
#include <flux/http/wire/multipart_parser.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;
using fuzz::require;

struct reading {
    std::string log;
    bool ended = false;

    // Returns whether it goes on.
    bool take(http::multipart_parser& parser, const http::multipart_limits& lim, std::string_view segment) {
        std::string_view rest = segment;
        for (std::size_t steps = 0;; ++steps) {
            require(steps <= 4 * segment.size() + 4, "every step makes progress");
            const http::multipart_step step = parser.next(rest);
            require(step.consumed <= rest.size(), "no more is consumed than there is");
            rest.remove_prefix(step.consumed);
            switch (step.event) {
            case http::multipart_event::part:
                require(parser.parts() <= lim.max_parts, "no more parts than allowed");
                log += "\n[";
                for (const http::field_view f : parser.fields()) {
                    require(http::is_token(f.name) && http::all(f.value, http::octet_class::field_value), "a field is one");
                    ((log += f.name) += ':') += f.value;
                    static_cast<void>(http::content_disposition::parse(f.value));
                }
                log += ']';
                octets_ = 0;
                continue;
            case http::multipart_event::data:
                require(!step.data.empty(), "data is not empty");
                octets_ += step.data.size();
                require(octets_ <= lim.part_octets, "no more data than allowed");
                log += step.data;
                continue;
            case http::multipart_event::part_end: log += '|'; continue;
            case http::multipart_event::done: log += "\ndone"; return false;
            case http::multipart_event::failed:
                log = std::to_string(static_cast<int>(parser.error())); // what came before depends on the pieces
                return false;
            case http::multipart_event::need_more: require(rest.empty(), "more is asked for when all is used up"); return true;
            }
        }
    }

private:
    std::uint64_t octets_ = 0;
};

void check_pieces(const fuzz::seeded_input& in) {
    http::multipart_limits lim;
    if ((in.seed & 3) == 3) { // limits that short inputs meet
        lim.max_parts = 2;
        lim.header_octets = 24;
        lim.max_fields = 2;
        lim.preamble_octets = 6;
        lim.part_octets = 9;
    }
    http::multipart_parser parser("b", lim);
    reading whole;
    const fuzz::exact_copy all(in.octets);
    whole.take(parser, lim, all.view());

    http::multipart_parser again("b", lim);
    reading cut;
    fuzz::segmentation sizes(in.seed);
    std::string_view left = in.octets;
    bool goes_on = true;
    while (goes_on && !left.empty()) {
        const fuzz::exact_copy piece(left.substr(0, sizes.next(left.size())));
        left.remove_prefix(piece.view().size());
        goes_on = cut.take(again, lim, piece.view());
    }
    require(cut.log == whole.log, "pieces give what the whole gives");
}

void check_round_trip(std::string_view data) {
    if (data.find("\r\n--b") != std::string_view::npos || data.starts_with("--b")) {
        return;
    }
    std::string content = "--b\r\nA: 1\r\n\r\n";
    ((content += data) += "\r\n--b\r\n\r\n") += data;
    content += "\r\n--b--\r\n";
    http::multipart_parser parser("b");
    reading r;
    r.take(parser, http::multipart_limits(), content);
    std::string expected = "\n[A:1]";
    ((expected += data) += "|\n[]") += data;
    require(r.log == expected + "|\ndone", "a form is read as it was written");
}

void check_names(std::string_view text) {
    static_cast<void>(http::content_disposition::parse(text));
    const std::string safe = http::safe_filename(text);
    require(safe.size() <= 200, "a safe name is short");
    require(safe.find_first_of("/\\") == std::string::npos && safe.find('\0') == std::string::npos, "a safe name is one name");
    require(safe.empty() || (safe.front() != '.' && safe.back() != '.'), "a safe name is not hidden");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    check_pieces(in);
    check_round_trip(in.octets);
    check_names(in.octets);
    return 0;
}
