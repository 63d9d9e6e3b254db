// SPDX-License-Identifier: MIT
// flux/http/message/fields.hpp - the field lines of a message that is being built.
//
//   user -> fields (one block: entries, then the lines as they go out) -> fields_view -> writer
//
// Names compare without regard to ASCII case; order and spelling are kept. What could split a message (CR, LF,
// NUL, other controls, a name that is no token) is refused when it is set, so it can never reach the wire.
// Deliberately not here: which fields a message may have (framing, server, client).
#pragma once

#include <flux/core/result.hpp>
#include <flux/core/vacate.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/scan.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// The memory of one `fields`. Blocks of the smallest size are kept by the thread that frees them, so that a
// server which builds a response per request allocates none after warm-up.
struct field_block {
    static constexpr std::uint32_t small_entries = 12;
    static constexpr std::uint32_t small_octets = 320;
    std::uint32_t max_entries;
    std::uint32_t max_octets;
    field_block* next_free;

    [[nodiscard]] field_entry* entries() noexcept {
        return std::launder(static_cast<field_entry*>(static_cast<void*>(this + 1)));
    }
    [[nodiscard]] char* octets() noexcept { return static_cast<char*>(static_cast<void*>(entries() + max_entries)); }
    // Only those are smaller than the smallest that is allocated.
    [[nodiscard]] bool is_literal() const noexcept { return max_octets < small_octets; }
};
static_assert(sizeof(field_block) % alignof(field_entry) == 0);
static_assert(std::is_trivially_copyable_v<field_entry>);

// A block with one line, made by the compiler. Lists that begin with it share it and never write to it: it is full.
struct literal_block {
    consteval literal_block(field name, std::string_view value) {
        const std::string_view parts[] = {to_string(name), ": ", value, "\r\n"};
        for (const std::string_view part : parts) {
            for (const char c : part) {
                octets[head.max_octets++] = c;
            }
        }
        line.id = name;
        line.name_size = static_cast<std::uint16_t>(parts[0].size());
        line.value_at = line.name_size + 2U;
        line.value_size = static_cast<std::uint32_t>(value.size());
    }
    field_block head{1, 0, nullptr};
    field_entry line;
    char octets[64]{};
};
static_assert(std::is_standard_layout_v<literal_block>);
static_assert(offsetof(literal_block, octets) == sizeof(field_block) + sizeof(field_entry));

class field_block_cache {
public:
    [[nodiscard]] static field_block* take(std::uint32_t entries, std::uint32_t octets) {
        field_block_cache& cache = mine();
        if (cache.free_ != nullptr && entries <= field_block::small_entries && octets <= field_block::small_octets) {
            --cache.count_;
            return flux::detail::vacate_for(cache.free_, cache.free_->next_free);
        }
        entries = entries < field_block::small_entries ? field_block::small_entries : entries;
        octets = octets < field_block::small_octets ? field_block::small_octets : octets;
        const std::size_t size = sizeof(field_block) + std::size_t{entries} * sizeof(field_entry) + octets;
        auto* block = ::new (::operator new(size)) field_block{entries, octets, nullptr};
        ::new (static_cast<void*>(block + 1)) field_entry[entries];
        return block;
    }
    static void give(field_block* block) noexcept {
        if (block->is_literal()) {
            return;
        }
        field_block_cache& cache = mine();
        if (FLUX_SANITIZED == 0 && block->max_entries == field_block::small_entries &&
            block->max_octets == field_block::small_octets && cache.count_ < max_kept) {
            ++cache.count_;
            block->next_free = flux::detail::vacate_for(cache.free_, block);
        } else {
            ::operator delete(block);
        }
    }

private:
    static constexpr unsigned max_kept = 64; // 34 KiB per thread at most

    // Frees what the thread kept. The cache itself has no destructor: what other thread-local objects give
    // back after this one has run finds the cache full and goes to the heap.
    struct janitor {
        field_block_cache* cache;
        ~janitor() {
            while (cache->free_ != nullptr) {
                field_block* block = flux::detail::vacate_for(cache->free_, cache->free_->next_free);
                ::operator delete(block);
            }
            cache->count_ = max_kept;
        }
    };
    // Not inlined: a coroutine must not keep the address of a thread's variable over a suspension.
    [[nodiscard, gnu::noinline]] static field_block_cache& mine() noexcept {
        static constinit thread_local field_block_cache cache;
        static thread_local const janitor at_exit{&cache};
        return cache;
    }
    field_block* free_ = nullptr;
    unsigned count_ = 0;
};

} // namespace detail

/// An ordered list of field lines that owns its text: the fields of a message being built.
///
/// Refuses what could split a message when it is set: a name that is not a token, a value with CR, LF, NUL or
/// another control octet (HTAB is allowed). Whitespace around a value is dropped, as a recipient would.
/// Threads  as a value.  Cost  no allocation while empty; one block for up to 12 lines and 320 octets of text,
/// taken from a per-thread list once warm.
class fields {
public:
    fields() noexcept = default;
    /// One line that is known when the program is compiled. Params  line  lives as long as the program.
    explicit fields(const detail::literal_block& line) noexcept
        : block_(static_cast<detail::field_block*>(const_cast<void*>(static_cast<const void*>(&line)))),
          octets_(line.head.max_octets), count_(1), present_(line.line.id) {}
    fields(fields&& other) noexcept
        : block_(flux::detail::vacate(other.block_)), octets_(flux::detail::vacate(other.octets_)),
          count_(flux::detail::vacate(other.count_)), present_(flux::detail::vacate(other.present_)),
          repeated_(flux::detail::vacate(other.repeated_)) {}
    fields(const fields& other)
        : octets_(other.octets_), count_(other.count_), present_(other.present_), repeated_(other.repeated_) {
        if (count_ != 0) {
            block_ = detail::field_block_cache::take(count_, octets_);
            copy_block(*other.block_, *block_);
        }
    }
    fields& operator=(fields other) noexcept {
        swap(*this, other);
        return *this;
    }
    ~fields() { release(); }
    friend void swap(fields& a, fields& b) noexcept {
        std::swap(a.block_, b.block_);
        std::swap(a.octets_, b.octets_);
        std::swap(a.count_, b.count_);
        std::swap(a.present_, b.present_);
        std::swap(a.repeated_, b.repeated_);
    }

    /// Appends a line, whether or not the name is there already.
    /// Errors   flux::errc::invalid_argument: not a token, or an octet that must not stand in a value.
    ///          flux::errc::limit: a name over 65'535 octets, or more than 16 MiB in all.
    [[nodiscard]] result<void> try_add(name_ref name, std::string_view value) { return to_result(put(name, value)); }
    /// Replaces all lines of that name by one, at the place of the first; appends if there was none.
    /// Errors   as try_add(); the list is unchanged then.
    [[nodiscard]] result<void> try_set(name_ref name, std::string_view value) {
        return to_result(contains(name) ? replace(name, value) : put(name, value));
    }

    /// As try_add and try_set, but throw flux::error. Returns: *this, to chain.
    fields& add(name_ref name, std::string_view value) & {
        require(put(name, value));
        return *this;
    }
    fields& set(name_ref name, std::string_view value) & {
        require(contains(name) ? replace(name, value) : put(name, value));
        return *this;
    }

    /// Removes every line of that name. Returns: how many there were.
    std::size_t remove(name_ref name) {
        if (!view().contains(name)) {
            return 0;
        }
        fields kept;
        for (const field_view f : view()) {
            if (!name.matches(f)) {
                kept.append(f.name, f.value);
            }
        }
        const std::size_t removed = count_ - kept.count_;
        swap(*this, kept);
        return removed;
    }
    /// Removes every line; keeps the memory.
    void clear() noexcept {
        if (block_ != nullptr && block_->is_literal()) {
            block_ = nullptr;
        }
        octets_ = count_ = 0;
        present_ = repeated_ = {};
    }

    [[nodiscard]] fields_view view() const& noexcept {
        return block_ == nullptr ? fields_view()
                                 : fields_view(block_->octets(), block_->entries(), count_, present_, repeated_);
    }
    void view() const&& = delete;
    operator fields_view() const& noexcept { return view(); }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    /// The i-th line. Aborts if there is none.
    [[nodiscard]] field_view operator[](std::size_t i) const& noexcept {
        FLUX_ASSERT(block_ != nullptr && i < count_, "an index past the last field line");
        return fields_view(block_->octets(), block_->entries(), count_, present_, repeated_)[i];
    }
    [[nodiscard]] fields_view::iterator begin() const& noexcept { return view().begin(); }
    [[nodiscard]] fields_view::iterator end() const& noexcept { return view().end(); }
    [[nodiscard]] field_set present() const noexcept { return present_; }
    [[nodiscard]] bool contains(name_ref name) const noexcept { return view().contains(name); }
    [[nodiscard]] std::optional<std::string_view> get(name_ref name) const& noexcept { return view().get(name); }
    [[nodiscard]] fields_view::values get_all(name_ref name) const& noexcept { return view().get_all(name); }
    [[nodiscard]] bool has_token(name_ref name, std::string_view token) const noexcept {
        return view().has_token(name, token);
    }

    /// All lines as they go over an HTTP/1.1 wire, each `Name: value` CR LF, without the empty line at the end.
    [[nodiscard]] std::string_view lines() const& noexcept {
        return block_ == nullptr ? std::string_view() : std::string_view(block_->octets(), octets_);
    }
    void lines() const&& = delete;

private:
    static constexpr std::uint32_t max_octets = 16U << 20;

    // Zero where nothing is wrong: a result<void> is too dear for a step that nearly always succeeds.
    static constexpr flux::errc fine{};

    [[nodiscard]] static result<void> to_result(flux::errc code) {
        return code == fine ? result<void>() : result<void>(fail(code));
    }
    static void require(flux::errc code) {
        if (code != fine) {
            flux::detail::throw_error(error(code));
        }
    }
    [[nodiscard]] flux::errc check(name_ref name, std::string_view value) const noexcept {
        const char* const end = value.data() + value.size();
        if ((name.id() == field::other && !is_token(name.text())) ||
            detail::scan_field_value(value.data(), end, value.data()) != end) {
            return flux::errc::invalid_argument;
        }
        if (name.text().size() > 0xffff || value.size() > max_octets ||
            octets_ + name.text().size() + value.size() > max_octets) {
            return flux::errc::limit;
        }
        return fine;
    }
    [[nodiscard]] flux::errc put(name_ref name, std::string_view value) {
        value = trim(value);
        const flux::errc code = check(name, value);
        if (code == fine) {
            append(name, value);
        }
        return code;
    }
    [[nodiscard]] flux::errc replace(name_ref name, std::string_view value) {
        value = trim(value);
        const flux::errc code = check(name, value);
        if (code != fine) {
            return code;
        }
        fields next;
        bool placed = false;
        for (const field_view f : view()) {
            if (!name.matches(f)) {
                next.append(f.name, f.value);
            } else if (!flux::detail::vacate_for(placed, true)) {
                next.append(name, value);
            }
        }
        swap(*this, next);
        return fine;
    }

    // Name and value must have passed check(). They may lie in this object's own block.
    void append(name_ref name, std::string_view value) {
        const std::string_view text = name.text();
        const auto line = static_cast<std::uint32_t>(text.size() + value.size() + 4);
        detail::field_block* old = nullptr;
        if (block_ == nullptr || count_ == block_->max_entries || block_->max_octets - octets_ < line) {
            old = grow(line);
        }
        field_entry& e = block_->entries()[count_];
        e.name_at = octets_;
        e.name_size = static_cast<std::uint16_t>(text.size());
        e.value_at = octets_ + static_cast<std::uint32_t>(text.size()) + 2;
        e.value_size = static_cast<std::uint32_t>(value.size());
        e.id = name.id();
        char* out = block_->octets() + octets_;
        std::memcpy(out, text.data(), text.size());
        out += text.size();
        *out++ = ':';
        *out++ = ' ';
        if (!value.empty()) {
            std::memcpy(out, value.data(), value.size());
            out += value.size();
        }
        *out++ = '\r';
        *out = '\n';
        octets_ += line;
        ++count_;
        repeated_.insert(present_ & field_set(e.id));
        present_.insert(e.id);
        if (old != nullptr) {
            detail::field_block_cache::give(old);
        }
    }
    // Returns the old block, which the caller frees once it has read from it.
    [[nodiscard, gnu::noinline]] detail::field_block* grow(std::uint32_t line) {
        std::uint32_t entries = 1;
        std::uint32_t octets = line;
        if (block_ != nullptr) {
            entries = count_ == block_->max_entries ? count_ * 2 : block_->max_entries;
            octets = block_->max_octets - octets_ < line ? (octets_ + line) * 2 : block_->max_octets;
        }
        detail::field_block* bigger = detail::field_block_cache::take(entries, octets);
        if (block_ != nullptr) {
            copy_block(*block_, *bigger);
        }
        return flux::detail::vacate_for(block_, bigger);
    }
    void copy_block(detail::field_block& from, detail::field_block& to) const noexcept {
        std::memcpy(to.entries(), from.entries(), count_ * sizeof(field_entry));
        std::memcpy(to.octets(), from.octets(), octets_);
    }
    void release() noexcept {
        if (block_ != nullptr) {
            detail::field_block_cache::give(flux::detail::vacate(block_));
        }
    }

    detail::field_block* block_ = nullptr; // null while empty
    std::uint32_t octets_ = 0;             // used octets of the block's text
    std::uint32_t count_ = 0;              // used entries
    field_set present_;
    field_set repeated_;
};

} // namespace flux::inline FLUX_ABI::http
