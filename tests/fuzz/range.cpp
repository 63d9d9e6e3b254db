// SPDX-License-Identifier: MIT
// Whatever a Range field says, what is selected lies inside of the representation and is no more than it; and the same
// goes for conditions: a tag is found only where it stands. First octet: the size of the representation, or its scale.
// The rest: the value of the field.
#include <flux/http/message/conditional.hpp>
#include <flux/http/message/content_coding.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/message/range.hpp>

#include <string>

#include "segments.hpp"

namespace {

namespace http = flux::http;

void check_ranges(std::string_view value, std::uint64_t size) {
    const http::range_selection selected = http::select_ranges(value, size);
    fuzz::require((selected.answer() == http::range_answer::partial) == (selected.size() != 0),
                  "a partial answer has ranges, and no other has");
    fuzz::require(selected.size() <= http::range_selection::max_ranges, "no more ranges than there may be");
    std::uint64_t sum = 0;
    for (const http::byte_range& r : selected) {
        fuzz::require(r.size != 0 && r.first < size && r.size <= size - r.first, "a range lies in the representation");
        sum += r.size;
    }
    fuzz::require(sum <= size, "the ranges are no more than the representation");
    std::string spaced;
    for (const char c : value) {
        spaced += c;
        spaced += c == ',' ? " " : "";
    }
    const http::range_selection again = http::select_ranges(spaced, size);
    fuzz::require(again.answer() == selected.answer() && again.size() == selected.size(),
                  "spaces after commas change nothing");
}

void check_conditions(std::string_view value) {
    http::fields fields;
    if (!fields.try_add(http::field::if_none_match, value)) {
        return;
    }
    http::validators now;
    now.etag = "\"v1\"";
    const bool found = http::evaluate(http::method::get, fields, now) == http::precondition::not_modified;
    fuzz::require(!found || value.find("\"v1\"") != std::string_view::npos || value.find('*') != std::string_view::npos,
                  "a tag is found only where it stands");
    http::fields accept;
    fuzz::require(accept.try_add(http::field::accept_encoding, value).has_value(), "the value was fine before");
    const http::accepted_codings codings(accept);
    fuzz::require(codings.weight("gzip") <= 1000 && codings.weight_of_identity() <= 1000, "a weight is at most 1");
    fuzz::require(!codings.prefers("gzip") || codings.weight("gzip") >= codings.weight_of_identity(),
                  "what is preferred is not less welcome");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    const fuzz::exact_copy value(in.octets);
    check_ranges(value.view(), in.seed < 128 ? in.seed : std::uint64_t{1} << (in.seed - 128) % 63);
    check_conditions(value.view());
    return 0;
}
