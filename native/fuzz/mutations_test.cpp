// The fuzz targets without a fuzzer: their seeds, and some thousand mutations of them, the same
// ones on every machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "seeds.h"

#define FUZZ_TARGET(name) \
  extern "C" int mlxnx_fuzz_##name(const std::uint8_t* data, std::size_t size);
#include "fuzz_targets.inc"
#undef FUZZ_TARGET

namespace mlxnx::fuzz {
namespace {

struct Target {
  const char* name;
  int (*run)(const std::uint8_t* data, std::size_t size);
};

constexpr Target kTargets[] = {
#define FUZZ_TARGET(name) {#name, &mlxnx_fuzz_##name},
#include "fuzz_targets.inc"
#undef FUZZ_TARGET
};

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string next() {
    std::string bytes = any(seeds_);
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  // The same on every platform, which the library's distributions are not.
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const std::string& any(std::span<const std::string> list) { return list[below(list.size())]; }

  void change(std::string& bytes) {
    static const std::array<std::string, 10> kPieces = {std::string(8, '\0'),
                                                        std::string(8, '\xff'),
                                                        "9223372036854775807",
                                                        "18446744073709551616",
                                                        "-1",
                                                        "1e9",
                                                        std::string(300, '['),
                                                        "\"a\":{\"a\":",
                                                        "\xff\xff\xff\x7f",
                                                        "),("};
    const std::size_t at = below(bytes.size() + 1);
    const std::size_t count = below(std::min<std::size_t>(bytes.size() - at, 40) + 1);
    switch (below(7)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
        break;
      case 2:
        bytes.erase(at, count);
        break;
      case 3:
        bytes.insert(below(bytes.size() + 1), bytes.substr(at, count));
        break;
      case 4:
        bytes.replace(at, count, any(kPieces));
        break;
      case 5:
        bytes.resize(at);
        break;
      default: {
        const std::string& other = any(seeds_);
        bytes.replace(at, std::string::npos, other, below(other.size() + 1), std::string::npos);
      }
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937 random_{1};
};

class Mutations : public testing::TestWithParam<Target> {};

TEST_P(Mutations, AreReadOrRefusedAtOnce) {
  const char* const wanted = std::getenv("MLXNX_MUTATIONS");
  const long count = wanted == nullptr ? 5000 : std::atol(wanted);
  const std::vector<std::string> seeds = seeds_of(GetParam().name);
  ASSERT_FALSE(seeds.empty());
  const auto run = [](const std::string& bytes) {
    const std::clock_t start = std::clock();
    EXPECT_NO_THROW(
        GetParam().run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC);
  };
  for (const std::string& seed : seeds) run(seed);
  Mutator mutator(seeds);
  for (long i = 0; i < count && !HasFailure(); ++i) run(mutator.next());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Mutations, testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mlxnx::fuzz
