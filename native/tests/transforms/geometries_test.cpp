// Derivatives of convolutions, windows, paddings and slices of random geometries.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>

#include "ops/random_call.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

using nlohmann::json;
using testing_support::Dice;

// An op, words for its operands and its attributes; perhaps one that does not fit together.
struct Made {
  std::string op, operands;
  json attrs;
};

std::string word(const std::vector<std::int64_t>& shape) { return "f64" + json(shape).dump(); }

std::vector<std::int64_t> between(Dice& dice, std::size_t count, std::int64_t low,
                                  std::int64_t high) {
  std::vector<std::int64_t> result(count);
  for (std::int64_t& value : result) value = dice.between(low, high);
  return result;
}

json paddings(Dice& dice, std::size_t count, std::size_t each, std::int64_t low) {
  json result = json::array();
  for (std::size_t i = 0; i < count; ++i) {
    json one = between(dice, each, low, 2);
    if (each == 3) one[2] = dice.between(0, 2);
    result.push_back(one);
  }
  return result;
}

std::vector<std::int64_t> shuffled(Dice& dice, std::size_t count) {
  std::vector<std::int64_t> axes(count);
  std::iota(axes.begin(), axes.end(), 0);
  for (std::size_t i = count; i > 1; --i) std::swap(axes[i - 1], axes[dice.below(i)]);
  return axes;
}

// The shape whose axis number axes[i] is axis i of `shape`.
std::vector<std::int64_t> arranged(const std::vector<std::int64_t>& shape,
                                   const std::vector<std::int64_t>& axes) {
  std::vector<std::int64_t> result(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i)
    result[static_cast<std::size_t>(axes[i])] = shape[i];
  return result;
}

Made convolution(Dice& dice) {
  const std::size_t spatial = dice.below(3);
  const std::int64_t groups = dice.between(1, 2), batches = groups == 1 ? dice.between(1, 2) : 1;
  const std::int64_t channels = dice.between(1, 2);
  std::vector<std::int64_t> input{batches * dice.between(1, 2), groups * channels};
  std::vector<std::int64_t> kernel{groups * batches * dice.between(1, 2), channels};
  const std::int64_t longest = spatial == 1 ? 6 : 4;
  for (std::size_t i = 0; i < spatial; ++i) {
    input.push_back(dice.between(1, longest));
    kernel.push_back(dice.between(1, 3));
  }
  const auto input_axes = shuffled(dice, input.size()), kernel_axes = shuffled(dice, input.size());
  return {"conv",
          word(arranged(input, input_axes)) + " " + word(arranged(kernel, kernel_axes)),
          {{"strides", between(dice, spatial, 1, 3)},
           {"padding", paddings(dice, spatial, 2, -1)},
           {"input_dilation", between(dice, spatial, 1, 3)},
           {"kernel_dilation", between(dice, spatial, 1, 2)},
           {"feature_group_size", groups},
           {"batch_group_size", batches},
           {"input_permutation", input_axes},
           {"kernel_permutation", kernel_axes},
           {"output_permutation", shuffled(dice, input.size())}}};
}

Made window(Dice& dice) {
  const std::string ops[] = {"window_sum", "window_product", "window_max", "window_min"};
  const std::size_t rank = 1 + dice.below(2);
  return {dice.pick(ops),
          word(between(dice, rank, 1, rank == 1 ? 7 : 4)),
          {{"window", between(dice, rank, 1, 3)},
           {"padding", paddings(dice, rank, 2, -1)},
           {"strides", between(dice, rank, 1, 3)},
           {"window_dilations", between(dice, rank, 1, 2)}}};
}

Made padding(Dice& dice) {
  const std::size_t rank = 1 + dice.below(3);
  return {
      "pad", word(between(dice, rank, 0, 3)) + " f64", {{"padding", paddings(dice, rank, 3, -3)}}};
}

Made slice(Dice& dice) {
  const std::size_t rank = 1 + dice.below(3);
  return {"slice",
          word(between(dice, rank, 1, 5)),
          {{"starts", between(dice, rank, -1, 4)},
           {"lengths", between(dice, rank, 1, 4)},
           {"strides", between(dice, rank, 1, 3)}}};
}

Made product(Dice& dice) {
  const auto sizes = between(dice, 5, 1, 3);  // of batches, contracted (two), free, free
  const auto left = shuffled(dice, 3), right = shuffled(dice, 3);
  const std::vector<std::int64_t> first = arranged({sizes[1], sizes[2], sizes[3]}, left);
  const std::vector<std::int64_t> second = arranged({sizes[1], sizes[2], sizes[4]}, right);
  const bool is_batched = dice.chance(50);
  const auto shape = [&](std::vector<std::int64_t> own) {
    if (is_batched) own.insert(own.begin(), sizes[0]);
    return word(own);
  };
  const std::int64_t behind = is_batched ? 1 : 0;
  const json batch = is_batched ? json{0} : json::array();
  return {"dot",
          shape(first) + " " + shape(second),
          {{"contract_axes1", {left[0] + behind, left[1] + behind}},
           {"contract_axes2", {right[0] + behind, right[1] + behind}},
           {"batch_axes1", batch},
           {"batch_axes2", batch}}};
}

struct Series {
  const char* name;
  Made (*make)(Dice& dice);
};
std::ostream& operator<<(std::ostream& out, const Series& series) { return out << series.name; }

class RandomGeometries : public testing::TestWithParam<Series> {};

TEST_P(RandomGeometries, HaveRightDerivatives) {
  constexpr int kWanted = 40, kMost = 1000;
  int tried = 0;
  for (std::uint64_t seed = 0; seed < kMost && tried < kWanted && !HasFailure(); ++seed) {
    Dice dice(seed);
    const Made made = GetParam().make(dice);
    const std::string attrs = made.attrs.dump();
    const OpCase op_case{made.op, made.operands, attrs};
    SCOPED_TRACE(testing::PrintToString(op_case));
    std::optional<Subject> fitting;
    try {
      fitting = subject(op_case);
    } catch (const ShapeError&) {
      continue;  // the parts don't fit
    }
    const Tensor result = run(fitting->function, fitting->point)[0];
    if (any(is_infinity(result)).item<int>() != 0) continue;  // an extreme of padding alone
    ++tried;
    check_derivatives(*fitting);
  }
  EXPECT_EQ(tried, kWanted);
}

INSTANTIATE_TEST_SUITE_P(Of, RandomGeometries,
                         testing::Values(Series{"Conv", convolution}, Series{"Window", window},
                                         Series{"Pad", padding}, Series{"Slice", slice},
                                         Series{"Dot", product}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mlxnx::transforms
