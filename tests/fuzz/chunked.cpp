// SPDX-License-Identifier: MIT
// A chunked body that comes in pieces is decoded like one that comes whole, and what we encode we decode.
// First octet: how it is cut, and by which limits it is judged. The rest: a body.
#include <flux/http/wire/chunked.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;

struct decoded {
    std::string data;
    std::string outcome;
    std::size_t consumed = 0;
};

void feed(http::chunked_decoder& decoder, std::string_view octets, decoded& out) {
    const fuzz::exact_copy segment(octets);
    std::string_view rest = segment.view();
    while (true) {
        const http::chunk_step step = decoder.next(rest);
        fuzz::require(step.consumed <= rest.size(), "no more is consumed than there is");
        out.data += step.data;
        rest.remove_prefix(step.consumed);
        out.consumed += step.consumed;
        if (step.event == http::chunk_event::data) {
            fuzz::require(!step.data.empty(), "a span of data is not empty");
            fuzz::require(step.data.data() >= segment.view().data() &&
                              step.data.data() + step.data.size() <= segment.view().data() + octets.size(),
                          "data is a part of the segment");
            continue;
        }
        if (step.event == http::chunk_event::failed) {
            out.outcome = "error " + std::to_string(static_cast<int>(decoder.error().code)) + " at " +
                          std::to_string(decoder.error().offset);
        } else if (step.event == http::chunk_event::done) {
            out.outcome = "end";
            for (const http::field_view f : decoder.trailers()) {
                fuzz::require(http::allowed_as_trailer(f.id), "a forbidden trailer is not handed on");
                ((((out.outcome += '\n') += f.name) += ':') += f.value);
            }
        } else {
            fuzz::require(rest.empty(), "a segment is used up before more is asked for");
        }
        return;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    http::limits lim;
    if ((in.seed & 3) == 3) {
        lim.body_octets = 20;
        lim.chunk_extension_octets = 12;
        lim.trailer_octets = 30;
        lim.field_line_octets = 16;
        lim.max_trailers = 2;
    }
    http::chunked_decoder decoder(lim);
    decoded whole;
    feed(decoder, in.octets, whole);
    fuzz::require(whole.data.size() <= lim.body_octets, "a body keeps its limit");
    const bool failed = whole.outcome.starts_with("error");

    decoder.reset();
    decoded pieces;
    fuzz::segmentation cut(in.seed);
    for (std::size_t at = 0; at < in.octets.size() && pieces.outcome.empty();) {
        const std::size_t n = cut.next(in.octets.size() - at);
        feed(decoder, in.octets.substr(at, n), pieces);
        at += n;
    }
    fuzz::require(pieces.outcome == whole.outcome, "pieces give the outcome of the whole");
    fuzz::require(pieces.data == whole.data, "pieces give the data of the whole");
    fuzz::require(failed || pieces.consumed == whole.consumed, "pieces end where the whole ends");

    std::string encoded;
    for (std::size_t at = 0; at < in.octets.size();) {
        const std::size_t n = cut.next(in.octets.size() - at);
        const http::chunk_header header(n);
        encoded += header.view();
        (encoded += in.octets.substr(at, n)) += "\r\n";
        at += n;
    }
    encoded += http::last_chunk;
    const http::limits generous;
    http::chunked_decoder again(generous);
    decoded back;
    feed(again, encoded, back);
    fuzz::require(back.outcome == "end" && back.data == in.octets && back.consumed == encoded.size(),
                  "what is encoded is decoded");
    return 0;
}
