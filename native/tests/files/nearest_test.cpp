// Which name somebody meant.
#include "files/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace mlxnx::files {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"bench", "inspect", "replay", "run"};

TEST(Nearest, IsTheNameOfFewestChanges) {
  for (const auto& [typed, meant] :
       {std::pair("rn", "run"), std::pair("urn", "run"), std::pair("runs", "run"),
        std::pair("relpay", "replay"), std::pair("inpsect", "inspect"), std::pair("bnch", "bench"),
        std::pair("run", "run")})
    EXPECT_EQ(nearest(typed, kNames), meant) << typed;
}

TEST(Nearest, IsNoneOfThemWhereAllAreFarAway) {
  for (const std::string& typed : {std::string(), std::string("x"), std::string("--help"),
                                   std::string("nonsense"), std::string(100'000, 'r')})
    EXPECT_EQ(nearest(typed, kNames), "") << typed.substr(0, 20);
  EXPECT_EQ(nearest("run", {}), "");
}

}  // namespace
}  // namespace mlxnx::files
