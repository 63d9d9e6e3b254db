// SPDX-License-Identifier: MIT
// A translation unit of the same program with every optional part; the job defines FLUX_WITH_*.
#include "shared.hpp"

#if !FLUX_WITH_TESTING
#error "meant to be compiled with the optional parts"
#endif

int plain_unit(const flux::result<int>& r, const flux::error& e);

int main() {
    const auto own = flux::tls::self_signed({"a.test"});
    if (!own || !flux::tls::server_context::make(flux::tls::server_settings(*own))) {
        return 1;
    }
    const flux::result<int> r = 1;
    const flux::error e(flux::errc::eof);
    return plain_unit(r, e) == use_shared(r, e) ? 0 : 1;
}
