// SPDX-License-Identifier: MIT
// tests/http/server/layered.hpp - handlers in layers, and what their tests ask.
#pragma once

#include <flux/http/server/middleware.hpp>

#include <utility>

namespace test_support {

using flux::http::any_handler;

// A handler in layers, as a router makes it.
class layered {
public:
    template <class... M>
    explicit layered(any_handler h, M&&... m) : handler_(std::move(h)) {
        (layers_.push_back(flux::http::detail::make_layer(std::forward<M>(m))), ...);
        flux::detail::dynamic_array<flux::http::detail::layer*> borrowed;
        for (const auto& l : layers_) {
            borrowed.push_back(l.get());
        }
        calls_.set(handler_, borrowed);
    }
    const any_handler* operator->() const noexcept { return &calls_.get(); }
    const any_handler& operator*() const noexcept { return calls_.get(); }

private:
    any_handler handler_;
    flux::detail::dynamic_array<flux::detail::owner<flux::http::detail::layer>> layers_;
    flux::http::detail::layered_handler calls_;
};

inline unsigned code_of(const flux::result<flux::http::response>& r) {
    return r ? to_number(r->code()) : 0;
}

} // namespace test_support
