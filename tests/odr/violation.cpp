// SPDX-License-Identifier: MIT
// The mistake that the job has to notice: a macro inside a type. Compiled twice, with and without FLUX_WITH_TESTING;
// the two must not link.
struct request {
    int status = 200;
#if FLUX_WITH_TESTING
    void* recorder = nullptr;
#endif
    virtual ~request() = default;
    virtual int code() const { return status; }
};

int other_unit(const request& r);

#if FLUX_WITH_TESTING
int other_unit(const request& r) { return r.code(); }
#else
int main() { return other_unit(request()); }
#endif
