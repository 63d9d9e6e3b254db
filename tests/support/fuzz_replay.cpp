// SPDX-License-Identifier: MIT
// Feeds stored inputs to a fuzz target where libFuzzer is not linked: ./target FILE_OR_DIRECTORY...
//
// Each input is copied to a heap block of exactly its size, so that AddressSanitizer sees a read past its end.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void replay(const std::vector<char>& input) {
    const auto copy = std::make_unique<std::uint8_t[]>(input.size());
    if (!input.empty()) {
        std::memcpy(copy.get(), input.data(), input.size());
    }
    LLVMFuzzerTestOneInput(copy.get(), input.size());
}

bool replay_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        return false;
    }
    replay(std::vector<char>(std::istreambuf_iterator<char>(in), {}));
    return true;
}

} // namespace

int main(int argc, char** argv) {
    replay({});
    std::size_t count = 1;
    bool good = true;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::is_directory(argv[i])) {
            good &= replay_file(argv[i]);
            ++count;
            continue;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
            if (entry.is_regular_file()) {
                good &= replay_file(entry.path());
                ++count;
            }
        }
    }
    std::printf("%zu inputs\n", count);
    return good ? 0 : 1;
}
