// SPDX-License-Identifier: MIT
// Coded content that comes in pieces is decoded like content that comes whole, within its limits, and what we code
// we decode. First octet: how it is cut, which coding and limits. The rest: coded content.
#include <flux/zlib/decoder.hpp>
#include <flux/zlib/encoder.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;
namespace zlib = flux::zlib;

struct decoded {
    std::string data;
    http::errc failed = http::errc::none;
    bool whole = false;
};

// False: it has failed.
bool feed(zlib::decoder& decoder, std::string_view octets, decoded& out) {
    const fuzz::exact_copy segment(octets);
    for (std::string_view rest = segment.view();;) {
        const zlib::decoder_step step = decoder.next(rest);
        fuzz::require(step.consumed <= rest.size(), "no more is consumed than there is");
        rest.remove_prefix(step.consumed);
        if (step.event == zlib::decoder_event::failed) {
            out.failed = decoder.failed();
            fuzz::require(out.failed != http::errc::none && !decoder.finish(), "a failure has a reason");
            return false;
        }
        if (step.event == zlib::decoder_event::need_more) {
            fuzz::require(rest.empty(), "a segment is used up before more is asked for");
            return true;
        }
        fuzz::require(!step.data.empty(), "a span of data is not empty");
        out.data += step.data;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    const zlib::coding coding = (in.seed & 4) != 0 ? zlib::coding::deflate : zlib::coding::gzip;
    zlib::decoder_limits limits;
    limits.octets = 1U << 20;
    if ((in.seed & 3) == 3) {
        limits.octets = 100;
        limits.ratio = 3;
        limits.ratio_from = 20;
    }
    decoded whole;
    {
        zlib::decoder decoder(coding, limits);
        whole.whole = feed(decoder, in.octets, whole) && decoder.finish().has_value();
        fuzz::require(whole.data.size() <= limits.octets, "content keeps its limit");
    }
    decoded pieces;
    zlib::decoder decoder(coding, limits);
    fuzz::segmentation cut(in.seed);
    bool goes_on = true;
    for (std::size_t at = 0; at < in.octets.size() && goes_on;) {
        const std::size_t n = cut.next(in.octets.size() - at);
        goes_on = feed(decoder, in.octets.substr(at, n), pieces);
        at += n;
    }
    pieces.whole = goes_on && decoder.finish().has_value();
    if (whole.failed != http::errc::body_too_large && pieces.failed != http::errc::body_too_large) {
        fuzz::require(pieces.whole == whole.whole && pieces.failed == whole.failed, "pieces end like the whole");
        fuzz::require(pieces.failed != http::errc::none || pieces.data == whole.data, "pieces give the same content");
    }

    zlib::encoder encoder(coding, 1);
    flux::byte_buffer coded;
    for (std::size_t at = 0; at < in.octets.size();) {
        const std::size_t n = cut.next(in.octets.size() - at);
        encoder.write(in.octets.substr(at, n), coded);
        at += n;
        if (n % 3 == 0) {
            encoder.flush(coded);
        }
    }
    encoder.finish(coded);
    zlib::decoder_limits generous;
    generous.octets = in.octets.size();
    generous.ratio = 2000;
    zlib::decoder again(coding, generous);
    decoded back;
    fuzz::require(feed(again, coded.view(), back) && again.finish() && back.data == in.octets, "what is coded is decoded");
    return 0;
}
