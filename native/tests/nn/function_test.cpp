// Functions by their names: operands and options are checked before anything is computed.
#include "nn/function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::nn {
namespace {

using Operands = std::vector<std::optional<Tensor>>;

TEST(Functions, HaveUniqueNamesWithinAFamilyAndAreFoundByThem) {
  std::set<std::pair<Family, std::string_view>> names;
  for (const FunctionDef* row : all_functions()) {
    EXPECT_TRUE(names.emplace(row->family, row->name).second) << row->name;
    EXPECT_EQ(&function(row->family, row->name), row);
  }
  EXPECT_GE(names.size(), 27u);
}

TEST(Functions, RefuseWhatTheRowDoesNotTake) {
  const FunctionDef& elu = function(Family::kActivation, "elu");
  const FunctionDef& prelu = function(Family::kActivation, "prelu");
  const Tensor x = tensor({-1.0});
  EXPECT_THROW(call(elu, Operands{x, x}, {}), ArgumentError);
  EXPECT_THROW(call(elu, Operands{}, {}), ArgumentError);
  EXPECT_THROW(call(elu, Operands{x}, {{"beta", 1.0}}), ArgumentError);
  EXPECT_THROW(call(elu, Operands{x}, {{"alpha", std::string("one")}}), ArgumentError);
  EXPECT_THROW(call(prelu, Operands{x, std::nullopt}, {}), ArgumentError);
  EXPECT_THROW(function(Family::kActivation, "nothing"), UnsupportedError);
}

TEST(Functions, TakeDefaultsAndIntegersForFloats) {
  const FunctionDef& elu = function(Family::kActivation, "elu");
  const Operands x{tensor({-1.0})};
  EXPECT_EQ(call(elu, x, {}).front().to_vector<float>(),
            call(elu, x, {{"alpha", std::int64_t{1}}}).front().to_vector<float>());
}

TEST(Functions, MakeAListOfOneNumber) {
  const ops::AttrDef schema[] = {{"stride", ops::AttrKind::kInts, Axes{1}}};
  EXPECT_EQ(complete({{"stride", std::int64_t{2}}}, schema, "conv1d").get<Axes>("stride"), Axes{2});
  EXPECT_EQ(complete({}, schema, "conv1d").get<Axes>("stride"), Axes{1});
  const ops::AttrDef scales[] = {{"scale_factor", ops::AttrKind::kFloats}};
  const auto factors = [&](ops::AttrValue given) {
    return complete({{"scale_factor", std::move(given)}}, scales, "upsample")
        .get<std::vector<double>>("scale_factor");
  };
  EXPECT_EQ(factors(0.5), std::vector{0.5});
  EXPECT_EQ(factors(std::int64_t{2}), std::vector{2.0});
  EXPECT_EQ(factors(Axes{2, 3}), (std::vector{2.0, 3.0}));
}

}  // namespace
}  // namespace mlxnx::nn
