// What all layers have in common, with a layer of two tensors and models of it.
#include "nn/layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "mlxnx/nn/linear.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing_support::error_of;
using testing_support::key;
using Operands = std::vector<std::optional<Tensor>>;

struct Model {
  Linear first, second;
  MLXNX_MEMBERS(first, second)
  Tensor operator()(const Tensor& x) const { return second(nn::relu(first(x))); }
};

Model model() {
  return {.first = {{.input_dims = 3, .output_dims = 4}, key(1)},
          .second = {{.input_dims = 4, .output_dims = 2, .bias = false}, key(2)}};
}

TEST(Layers, NameTheirParametersAsMlxDoes) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(model())) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("first.weight", "first.bias", "second.weight"));
  EXPECT_EQ(parameters(model()).at("second.weight").shape(), (Shape{2, 4}));
  EXPECT_EQ(count_parameters(model()), 12 + 4 + 8);
}

struct Packed {
  Tensor weight;
  std::optional<Tensor> scales;
  MLXNX_INLINE_MEMBERS(weight, scales)
};
struct WithPacked {
  Packed packed;
  Tensor bias;
  MLXNX_MEMBERS(packed, bias)
};

TEST(Layers, NameInlineMembersAsTheirOwn) {
  const std::vector<WithPacked> layers{{{Tensor(1.0), Tensor(2.0)}, Tensor(3.0)}};
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(layers)) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("0.weight", "0.scales", "0.bias"));
}

TEST(Layers, AreDrawnByTheirKeyWithinMlxsBounds) {
  const LinearOptions options{.input_dims = 16, .output_dims = 500};
  const Linear layer(options, key(1)), same(options, key(1)), other(options, key(2));
  const std::vector<float> values = layer.weight.to_vector<float>();
  EXPECT_EQ(values, same.weight.to_vector<float>());
  EXPECT_NE(values, other.weight.to_vector<float>());
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -0.25f);
  EXPECT_LT(*high, 0.25f);
  EXPECT_LT(*low, -0.249f);
  EXPECT_GT(*high, 0.249f);
  EXPECT_NEAR(mlxnx::sum(layer.weight).item<double>() / 8000, 0, 0.01);
  EXPECT_EQ(layer.bias->shape(), Shape{500});
}

TEST(Layers, TakeOtherWeightsByName) {
  const Linear layer({.input_dims = 2, .output_dims = 1}, key(0));
  const Linear loaded = load_parameters(
      layer, {{"weight", tensor({{2.0, 3.0}}, DType::f64)}, {"bias", tensor({1.0}, DType::f64)}});
  EXPECT_EQ(loaded(tensor({{1.0, 10.0}}, DType::f64)).to_vector<double>(), (std::vector{33.0}));
  const Linear partly =
      load_parameters(layer, {{"bias", tensor({5.0})}, {"nothing", Tensor(1.0)}}, false);
  EXPECT_EQ(partly.bias->to_vector<float>(), (std::vector{5.0f}));
  EXPECT_EQ(partly.weight.to_vector<float>(), layer.weight.to_vector<float>());
}

TEST(Layers, SayWhichWeightsDoNotFit) {
  const Model given = model();
  EXPECT_THAT(error_of<ArgumentError>([&] { load_parameters(given, {}); }),
              HasSubstr("[load_parameters] 3 missing: first.weight, first.bias, second.weight"));
  Parameters others = parameters(given);
  for (int i = 0; i < 12; ++i) others.emplace("extra_" + std::to_string(i), Tensor(1.0));
  others.at("first.weight") = tensor({1.0});
  others.at("first.bias") = tensor({1, 2, 3, 4});
  const std::string fault = error_of<ArgumentError>([&] { load_parameters(given, others); });
  EXPECT_THAT(fault, AllOf(HasSubstr("12 unknown to the model: extra_0, extra_1, extra_10"),
                           HasSubstr("extra_7 and 2 more"), Not(HasSubstr("extra_8")),
                           HasSubstr("first.weight (f32[1], wanted f32[4][3])"),
                           HasSubstr("1 of another type: first.bias (s32[4], wanted f32[4])")));
  // Without `strict` what is there has to fit nevertheless.
  EXPECT_THAT(error_of<ArgumentError>([&] { load_parameters(given, others, false); }),
              AllOf(HasSubstr("of another shape"), Not(HasSubstr("unknown"))));
}

TEST(Layers, AreSummed) {
  const auto only_second = [](std::string_view name) { return name.starts_with("second"); };
  EXPECT_EQ(summary(model(), only_second),
            "name           type  shape   trainable  bytes\n"
            "first.weight   f32   {4, 3}  no            48\n"
            "first.bias     f32   {4}     no            16\n"
            "second.weight  f32   {2, 4}  yes           32\n"
            "total                        8 of 24       96\n");
  const Packed words{.weight = constant(1, DType::u32, {2, 3}), .scales = std::nullopt};
  EXPECT_THAT(summary(words), HasSubstr("weight  u32   {2, 3}  no "));
}

TEST(Layers, AreFrozenByName) {
  const auto loss = [](const Model& m, const Tensor& x) { return sum(m(x)); };
  const auto frozen = trainable([](std::string_view name) { return name != "first.weight"; });
  const auto slopes = grad(loss, {.trainable = frozen})(model(), tensor({{1.0, 2.0, 3.0}}));
  EXPECT_EQ(sum(abs(slopes.first.weight)).item<float>(), 0);
  EXPECT_GT(sum(abs(slopes.second.weight)).item<float>(), 0);
  EXPECT_FALSE(trainable()("norm.running_mean"));
  EXPECT_FALSE(trainable()("running_var"));
  EXPECT_TRUE(trainable()("norm.weight"));
}

TEST(Layers, AreCompiledAndMapped) {
  const Model m = model();
  const Tensor x = reshape(iota({6}, {.type = DType::f32}), {2, 3});
  const std::vector<float> wanted = m(x).to_vector<float>();
  const auto apply = [](const Model& model, const Tensor& in) { return model(in); };
  EXPECT_THAT(jit(apply)(m, x).to_vector<float>(),
              testing::Pointwise(testing::FloatNear(1e-5f), wanted));
  EXPECT_THAT(vmap(apply, {std::nullopt, 0})(m, x).to_vector<float>(),
              testing::Pointwise(testing::FloatNear(1e-5f), wanted));
}

TEST(Layers, AreMappedOverWeightsToo) {
  const LinearOptions options{.input_dims = 3, .output_dims = 2};
  const Linear first(options, key(1)), second(options, key(2));
  Linear both = first;
  both.weight = stack({first.weight, second.weight});
  both.bias = stack({*first.bias, *second.bias});
  const Tensor x = tensor({1.0, 2.0, 3.0});
  const auto apply = [](const Linear& layer, const Tensor& in) { return layer(in); };
  std::vector<float> wanted = first(x).to_vector<float>();
  for (const float value : second(x).to_vector<float>()) wanted.push_back(value);
  EXPECT_THAT(vmap(apply, {0, std::nullopt})(both, x).to_vector<float>(),
              testing::Pointwise(testing::FloatNear(1e-5f), wanted));
}

TEST(Layers, AreMadeInCompiledAndMappedFunctions) {
  const auto weights = [](const Tensor& k) {
    return Linear({.input_dims = 3, .output_dims = 2}, k).weight;
  };
  const std::vector<float> wanted = weights(key(5)).to_vector<float>();
  EXPECT_EQ(jit(weights)(key(5)).to_vector<float>(), wanted);
  const Tensor mapped = vmap(weights)(stack({key(4), key(5)}));
  EXPECT_EQ(slice(mapped, {1, 0, 0}, {1, 2, 3}).to_vector<float>(), wanted);
}

TEST(LayerRows, HaveUniqueNamesAndAreFoundByThem) {
  std::set<std::string_view> names;
  for (const LayerDef* row : all_layers()) {
    EXPECT_TRUE(names.insert(row->name).second) << row->name;
    EXPECT_EQ(&layer(row->name), row);
  }
  EXPECT_THROW(layer("nothing"), UnsupportedError);
}

TEST(LayerRows, CheckOptionsBeforeTheyMakeALayer) {
  const LayerDef& row = layer("linear");
  EXPECT_THAT(error_of<ArgumentError>([&] { make(row, {}, key(0)); }),
              HasSubstr("[linear] the attribute input_dims (int) is missing"));
  const ops::Attrs sizes{{"input_dims", std::int64_t{3}}, {"output_dims", std::int64_t{0}}};
  EXPECT_THAT(error_of<ArgumentError>([&] { make(row, sizes, key(0)); }),
              HasSubstr("[linear] output_dims is 0, it has to be at least 1"));
  EXPECT_THAT(error_of<ArgumentError>([&] { Linear({.input_dims = 1}, key(0)); }),
              HasSubstr("[linear] output_dims has to be given"));
  EXPECT_THROW(make(row, {{"units", std::int64_t{3}}}, key(0)), ArgumentError);
  EXPECT_THAT(error_of<TypeError>([&] {
                Linear({.input_dims = 1, .output_dims = 1}, tensor({1, 2}));
              }),
              HasSubstr("[linear] a key is a u32[2], got s32[2]"));
}

TEST(LayerRows, MakeLayersThatAreCalledByName) {
  const ops::Attrs sizes{{"input_dims", std::int64_t{2}}, {"output_dims", std::int64_t{1}}};
  const auto fresh = make(layer("linear"), sizes, key(3));
  const Linear same({.input_dims = 2, .output_dims = 1}, key(3));
  const Operands x{tensor({{1.0, 2.0}})};
  EXPECT_EQ(call(*fresh, x).outputs.at(0).to_vector<float>(), same(*x[0]).to_vector<float>());
  EXPECT_TRUE(call(*fresh, x).state.empty());
  const auto loaded =
      fresh->with({{"weight", tensor({{1.0, 1.0}})}, {"bias", tensor({0.5})}}, true);
  EXPECT_EQ(call(*loaded, x).outputs.at(0).to_vector<float>(), (std::vector{3.5f}));
  EXPECT_THAT(error_of<ArgumentError>([&] {
                fresh->with({{"weight", Tensor(1.0)}}, true);
              }),
              EndsWith("] the parameters don't fit: 1 missing: bias; 1 of another shape: weight "
                       "(f32, wanted f32[1][2])"));
  EXPECT_THROW(call(*fresh, {}), ArgumentError);
  EXPECT_THROW(call(*fresh, Operands{x[0], x[0]}), ArgumentError);
  EXPECT_THROW(call(*fresh, x, {{"training", true}}), ArgumentError);
}

TEST(Linear, SaysWhatDoesNotFit) {
  const Linear layer({.input_dims = 3, .output_dims = 5}, key(0));
  EXPECT_EQ(error_of<ShapeError>([&] {
              layer(tensor({{1.0, 2.0}}));
            }),
            "[linear] the last axis of f32[1][2] should have 3 elements");
  EXPECT_THROW(layer(Tensor(1.0)), ShapeError);
  const Bilinear pair({.input1_dims = 1, .input2_dims = 2, .output_dims = 3}, key(0));
  const Tensor x1 = tensor({{1.0}, {2.0}}), x2 = tensor({{1.0, 2.0}});
  EXPECT_EQ(error_of<ShapeError>([&] { pair(x1, x2); }),
            "[bilinear] f32[2][1] and f32[1][2] can differ in their last axis only");
  EXPECT_EQ(Identity()(x1).to_vector<float>(), x1.to_vector<float>());
}

TEST(Linear, KeepsTheTypeOfItsWeights) {
  const Linear fresh({.input_dims = 3, .output_dims = 2}, key(0));
  for (const DType type : {DType::f16, DType::bf16, DType::f64}) {
    const Linear layer = load_parameters(
        fresh, {{"weight", as_type(fresh.weight, type)}, {"bias", as_type(*fresh.bias, type)}});
    EXPECT_EQ(layer(as_type(iota({4, 3}), type)).dtype(), type);
  }
}

}  // namespace
}  // namespace mlxnx::nn
