// Which cases an entry of the list matches.
#include "replay/known_differences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "mlxnx/error.h"

namespace mlxnx::cli {
namespace {

constexpr std::array<float, 2> kInput = {1.0F, NAN};

GoldenCase sample() {
  GoldenCase golden;
  golden.op = "sort";
  golden.attrs = {{"axis", 0}, {"direction", "asc"}};
  golden.inputs = {{{DType::f32, {2}}, std::as_bytes(std::span(kInput))}};
  golden.outputs = {{{DType::f64, {2}}, {}}};
  return golden;
}

struct MatchCase {
  std::string fields;
  bool matches;
};

TEST(KnownDifferences, MatchByEveryFieldOfAnEntry) {
  const std::string id = case_id(sample());
  const MatchCase cases[] = {
      {R"("op": "sort")", true},
      {R"("op": "argsort")", false},
      {R"("op": ["argsort", "sort"])", true},
      {R"("op": "sort", "attrs": {"axis": 0})", true},
      {R"("op": "sort", "attrs": {"axis": 1})", false},
      {R"("op": "sort", "attrs": {"stable": true})", false},
      {R"("op": "sort", "in": [{"type": "f32"}])", true},
      {R"("op": "sort", "in": [{"type": ["f16", "f32"], "shape": [2]}])", true},
      {R"("op": "sort", "in": [{"shape": [3]}])", false},
      {R"("op": "sort", "in": [null, {"type": "f32"}])", false},
      {R"("op": "sort", "out": [{"type": "f64"}])", true},
      {R"("op": "sort", "in_type": ["f64", "f32"])", true},
      {R"("op": "sort", "in_type": "f64")", false},
      {R"("op": "sort", "out_type": "f64")", true},
      {R"("op": "sort", "in_has": "nan")", true},
      {R"("op": "sort", "in_has": "infinity")", false},
      {R"("op": "sort", "case": ")" + id + "\"", true},
      {R"("op": "sort", "case": ["0", ")" + id + "\"]", true},
      {R"("op": "sort", "case": "0")", false},
  };
  for (const MatchCase& row : cases) {
    const KnownDifferences known("[{" + row.fields + R"(, "reason": "because"}])");
    EXPECT_EQ(known.reason(sample()) != nullptr, row.matches) << row.fields;
  }
}

TEST(KnownDifferences, GiveTheReasonOfTheFirstMatch) {
  const KnownDifferences known(
      R"([{"op": "add", "reason": "a"}, {"op": "sort", "reason": "b"}, {"op": "sort", "reason": "c"}])");
  EXPECT_EQ(*known.reason(sample()), "b");
}

TEST(KnownDifferences, RefuseMalformedLists) {
  for (const char* text :
       {"", "{", "{}", "7", "[1]", R"([{"op": "sort"}])", R"([{"reason": "x"}])",
        R"([{"op": "sort", "reason": 7}])", R"([{"op": "sort", "reason": "x", "opp": 1}])",
        R"([{"op": "sort", "reason": "x", "in": 5}])",
        R"([{"op": "sort", "reason": "x", "out": ["f32"]}])"}) {
    try {
      KnownDifferences known{std::string(text)};
      ADD_FAILURE() << text << " was taken";
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("json.exception"))) << text;
    }
  }
}

TEST(KnownDifferences, BuiltInListIsWellFormed) {
  EXPECT_NO_THROW(KnownDifferences{kKnownDifferencesJson});
}

}  // namespace
}  // namespace mlxnx::cli
