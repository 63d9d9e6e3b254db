// SPDX-License-Identifier: MIT
// flux/http/message/fields_view.hpp - read-only field lines: entries of offsets over the octets of a message.
//
//   parser -> field_entry[] + octets -> fields_view      (no copy; names and values stay in the buffer)
//
// Offsets instead of pointers: the buffer may move, and a view over the new place costs nothing to make.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/message/field_list.hpp>
#include <flux/http/message/field_name.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <type_traits>

namespace flux::inline FLUX_ABI::http {

/// Where one field line lies, as offsets into the buffer of its message, which may therefore move.
struct field_entry {
    std::uint32_t name_at = 0;
    std::uint32_t value_at = 0;
    std::uint32_t value_size = 0;
    std::uint16_t name_size = 0;
    field id = field::other;
};

/// Where a parser puts the entries of a head. Keeps its memory when it is cleared.
using field_storage = flux::detail::dynamic_array<field_entry>;

/// One field line. The views live as long as the buffer of the message.
struct field_view {
    std::string_view name;  ///< as sent
    std::string_view value; ///< without the whitespace around it
    field id = field::other;
};

/// A field name to look for: a well-known one, or any text. Made implicitly from both.
class name_ref {
public:
    constexpr name_ref(field f) noexcept : text_(to_string(f)), id_(f) {}
    template <class Text>
    requires std::is_convertible_v<const Text&, std::string_view> name_ref(const Text& name)
    noexcept : text_(name), id_(to_field(text_)) {}

    [[nodiscard]] std::string_view text() const noexcept { return text_; }
    [[nodiscard]] field id() const noexcept { return id_; }
    [[nodiscard]] bool matches(const field_view& f) const noexcept {
        return f.id == id_ && (id_ != field::other || iequals(f.name, text_));
    }

private:
    std::string_view text_;
    field id_;
};

/// Read-only field lines in the order received. Cheap to copy; owns nothing.
///
/// The views it hands out live as long as the octets it was made over.
class fields_view {
public:
    class iterator {
    public:
        using value_type = field_view;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        using pointer = void;
        using reference = field_view;

        iterator() noexcept = default;
        iterator(const char* base, const field_entry* at) noexcept : base_(base), at_(at) {}
        [[nodiscard]] field_view operator*() const noexcept { return to_view(base_, *at_); }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return {base_, at_++}; }
        [[nodiscard]] friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.at_ == b.at_; }

    private:
        const char* base_ = nullptr;
        const field_entry* at_ = nullptr;
    };

    /// The values of all lines of one name, in order.
    class values {
    public:
        class iterator {
        public:
            using value_type = std::string_view;
            using difference_type = std::ptrdiff_t;
            using iterator_category = std::input_iterator_tag;
            using pointer = void;
            using reference = std::string_view;

            iterator(const fields_view& all, name_ref name) noexcept : at_(all.begin()), end_(all.end()), name_(name) {
                skip();
            }
            [[nodiscard]] std::string_view operator*() const noexcept { return (*at_).value; }
            iterator& operator++() noexcept {
                ++at_;
                skip();
                return *this;
            }
            void operator++(int) noexcept { ++*this; }
            [[nodiscard]] friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
                return it.at_ == it.end_;
            }

        private:
            void skip() noexcept {
                while (!(at_ == end_) && !name_.matches(*at_)) {
                    ++at_;
                }
            }
            fields_view::iterator at_;
            fields_view::iterator end_;
            name_ref name_;
        };

        values(const char* base, const field_entry* entries, std::size_t count, name_ref name) noexcept
            : base_(base), entries_(entries), count_(count), name_(name) {}
        [[nodiscard]] iterator begin() const noexcept { return {fields_view(base_, entries_, count_, {}, {}), name_}; }
        [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    private:
        const char* base_;
        const field_entry* entries_;
        std::size_t count_;
        name_ref name_;
    };

    fields_view() noexcept = default;
    /// Params  base      what the offsets of the entries count from
    ///         present   the well-known names among the entries
    ///         repeated  those that occur more than once
    fields_view(const char* base, const field_entry* entries, std::size_t count, field_set present,
                field_set repeated) noexcept
        : base_(base), entries_(entries), count_(count), present_(present), repeated_(repeated) {}

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] field_view operator[](std::size_t i) const noexcept { return to_view(base_, entries_[i]); }
    [[nodiscard]] const field_entry& entry(std::size_t i) const noexcept { return entries_[i]; }
    [[nodiscard]] iterator begin() const noexcept { return {base_, entries_}; }
    [[nodiscard]] iterator end() const noexcept { return {base_, entries_ + count_}; }

    /// Which well-known names occur at all, and which more than once. Cost: none.
    [[nodiscard]] field_set present() const noexcept { return present_; }
    [[nodiscard]] field_set repeated() const noexcept { return repeated_; }

    /// The index of the first line of that name, or size().
    [[nodiscard]] std::size_t find(name_ref name) const noexcept {
        if (name.id() != field::other && !present_.contains(name.id())) {
            return count_;
        }
        std::size_t i = 0;
        while (i < count_ && !(entries_[i].id == name.id() && name.matches((*this)[i]))) {
            ++i;
        }
        return i;
    }
    [[nodiscard]] bool contains(name_ref name) const noexcept { return find(name) != count_; }

    /// The value of the first line of that name; nothing if there is none.
    [[nodiscard]] std::optional<std::string_view> get(name_ref name) const noexcept {
        const std::size_t i = find(name);
        if (i == count_) {
            return std::nullopt;
        }
        return (*this)[i].value;
    }

    /// The values of every line of that name, one by one: Set-Cookie, or lists split over lines.
    [[nodiscard]] values get_all(name_ref name) const noexcept { return {base_, entries_, count_, name}; }

    /// Whether any line of that name, read as a comma-separated list, holds `token` in any case.
    [[nodiscard]] bool has_token(name_ref name, std::string_view token) const noexcept {
        if (name.id() != field::other && !present_.contains(name.id())) {
            return false;
        }
        for (auto it = get_all(name).begin(); !(it == std::default_sentinel); ++it) {
            if (list_has_token(*it, token)) {
                return true;
            }
        }
        return false;
    }

private:
    [[nodiscard]] static field_view to_view(const char* base, const field_entry& e) noexcept {
        return {{base + e.name_at, e.name_size}, {base + e.value_at, e.value_size}, e.id};
    }

    const char* base_ = nullptr;
    const field_entry* entries_ = nullptr;
    std::size_t count_ = 0;
    field_set present_;
    field_set repeated_;
};

} // namespace flux::inline FLUX_ABI::http
