// SPDX-License-Identifier: MIT
// tests/http/server/memory_sink.hpp - where a responder writes to in a test.
#pragma once

#include <flux/http/server/responder.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace test_support {

/// text() is status, fields, length if known, an empty line, and the body: "200\nX: y\nlength 2\n\nhi".
class memory_sink final : public flux::http::response_sink {
public:
    [[nodiscard]] flux::result<void> begin(flux::http::status code, const flux::http::fields& head,
                                           std::optional<std::uint64_t> length) override {
        text_ = std::to_string(to_number(code)) + "\n";
        for (const auto f : head) {
            text_ += std::string(f.name) + ": " + std::string(f.value) + "\n";
        }
        text_ += length ? "length " + std::to_string(*length) + "\n\n" : "\n";
        return {};
    }
    [[nodiscard]] bool begun() const noexcept override { return !text_.empty(); }
    [[nodiscard]] flux::result<void> inform(flux::http::status, const flux::http::fields&) override { return {}; }
    [[nodiscard]] flux::task<> write(std::string_view octets) override {
        text_ += octets;
        co_return;
    }
    [[nodiscard]] flux::task<> flush() override { co_return; }
    [[nodiscard]] flux::result<void> add_trailer(std::string_view name, std::string_view value) override {
        text_ += "\n" + std::string(name) + "= " + std::string(value);
        return {};
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

} // namespace test_support
