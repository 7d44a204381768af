// Matrices of layers in all their forms, and functions of models that exchange them.
#include "mlxnx/nn/weight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/quantized.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::key;

struct Model {
  Embedding table;
  std::vector<Linear> layers;
  MLXNX_MEMBERS(table, layers)
  Tensor operator()(const Tensor& numbers) const {
    Tensor x = table(numbers);
    for (const Linear& layer : layers) x = mlxnx::tanh(layer(x));
    return table.as_linear(x);
  }
};

Model small_model() {
  return {.table = Embedding({.num_embeddings = 9, .dims = 64}, key(1)),
          .layers = {Linear({.input_dims = 64, .output_dims = 64}, key(2)),
                     Linear({.input_dims = 64, .output_dims = 64, .bias = false}, key(3))}};
}

std::vector<std::string> names_of(const Model& model) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : parameters(model)) names.push_back(name);
  return names;
}

double difference(const Tensor& a, const Tensor& b) {
  return reduce_max(abs(as_type(a, DType::f32) - as_type(b, DType::f32))).item<double>();
}

const Tensor& numbers() {
  static const auto* const tensor = new Tensor(mlxnx::tensor({{1, 2}, {8, 0}}));
  return *tensor;
}

TEST(WeightForms, QuantizedModelsHaveTheNamesOfMlx) {
  const Model model = quantize(small_model());
  EXPECT_THAT(names_of(model),
              ElementsAre("layers.0.bias", "layers.0.biases", "layers.0.scales", "layers.0.weight",
                          "layers.1.biases", "layers.1.scales", "layers.1.weight", "table.biases",
                          "table.scales", "table.weight"));
  EXPECT_EQ(parameters(model).at("layers.0.weight").type(), (TensorType{DType::u32, {64, 8}}));
}

// Its members are named as if they were those of what has it.
struct InlinePart {
  nn::Linear first;
  MLXNX_INLINE_MEMBERS(first)
};
struct WithInlinePart {
  InlinePart part;
  nn::Linear second;
  MLXNX_MEMBERS(part, second)
};

TEST(WeightForms, LayersOfInlinePartsHaveTheNamesOfTheirTensors) {
  const nn::Linear layer(constant(0.5, DType::f32, {8, 32}));
  WithInlinePart model{{layer}, layer};
  std::vector<std::string> layers, tensors;
  nn::weights::visit(model, [&](const std::string& name, Tensor&, nn::WeightForm&) {
    layers.push_back(name + ".weight");
  });
  for (const auto& [name, tensor] : nn::named_tensors(model)) tensors.push_back(name);
  EXPECT_EQ(layers, tensors);
}

TEST(WeightForms, QuantizedModelsAnswerWhatTheirMatricesDo) {
  for (const QuantizationMode mode : {QuantizationMode::kAffine, QuantizationMode::kMxfp8}) {
    const Model quantized = quantize(small_model(), {}, {.mode = mode, .bits = 8});
    const Model dense = dequantize(quantized);
    EXPECT_EQ(dense.table.weight.type(), (TensorType{DType::f32, {9, 64}}));
    const double limit = mode == QuantizationMode::kAffine ? 1e-5 : 2e-3;  // rows of bf16
    EXPECT_LT(difference(quantized(numbers()), dense(numbers())), limit);
    EXPECT_LT(difference(dense(numbers()), small_model()(numbers())), 0.1);
  }
}

TEST(WeightForms, PredicatesChooseLayersByName) {
  const auto is_second = [](std::string_view name) { return name == "layers.1"; };
  const Model model = quantize(small_model(), is_second, {.bits = 4, .group_size = 32});
  EXPECT_FALSE(model.table.form.is_quantized());
  EXPECT_FALSE(model.layers[0].form.is_quantized());
  EXPECT_TRUE(model.layers[1].form.is_quantized());
  const Model rest = quantize(model);
  EXPECT_EQ(rest.layers[1].form.group_size, 32);
  EXPECT_EQ(rest.layers[0].form.group_size, 64);
}

TEST(WeightForms, WhatCantBeQuantizedIsNamed) {
  const std::vector<Linear> layers{Linear({.input_dims = 64, .output_dims = 3}, key(1)),
                                   Linear({.input_dims = 3, .output_dims = 3}, key(2))};
  EXPECT_THAT(error_of<ShapeError>([&] { quantize(layers); }),
              HasSubstr("[quantize] the layer 1: [fast:quantize] the last axis of f32[3][3]"));
  EXPECT_THAT(error_of<ArgumentError>([&] { to_lora(layers, {.rank = 0}, key(1)); }),
              HasSubstr("[to_lora] rank is 0"));
  EXPECT_THAT(error_of<ArgumentError>([&] { to_lora(to_dora(layers, {}, key(1)), {}, key(1)); }),
              HasSubstr("the layer 0 has a change of low rank already"));
}

TEST(LowRank, NewChangesChangeNothing) {
  for (const Model& model : {small_model(), quantize(small_model())}) {
    const Tensor before = model(numbers());
    EXPECT_EQ(difference(to_lora(model, {}, key(4))(numbers()), before), 0);
    EXPECT_LT(difference(to_dora(model, {}, key(4))(numbers()), before), 1e-5);
    // Quantized ones are rounded once more, on scales that may be others.
    const double limit = model.layers[0].form.is_quantized() ? 0.02 : 0;
    EXPECT_LE(difference(fuse(to_lora(model, {}, key(4)))(numbers()), before), limit);
  }
}

// A change as training would have it.
Model changed(Model model) {
  Parameters some;
  for (const auto& [name, tensor] : parameters(model)) {
    if (is_adapter(name)) some.emplace(name, tensor + sin(iota(tensor.shape())) * 0.02);
  }
  return load_parameters(model, some, false);
}

TEST(LowRank, FusedModelsAnswerWhatChangedOnesDo) {
  for (const bool has_lengths : {false, true}) {
    const LoraOptions options{.rank = 4, .scale = 2};
    const Model model = changed(has_lengths ? to_dora(small_model(), options, key(4))
                                            : to_lora(small_model(), options, key(4)));
    EXPECT_GT(difference(model(numbers()), small_model()(numbers())), 1e-3);
    const Model fused = fuse(model);
    EXPECT_EQ(names_of(fused), names_of(small_model()));
    EXPECT_LT(difference(fused(numbers()), model(numbers())), 1e-5);
    const Model packed =
        fuse(changed(to_lora(quantize(small_model(), {}, {.bits = 8}), options, key(4))));
    EXPECT_TRUE(packed.layers[0].form.is_quantized());
    EXPECT_EQ(packed.layers[0].form.bits, 8);
  }
}

TEST(LowRank, OnlyChangesAreTrained) {
  const Model model = changed(to_dora(quantize(small_model()), {.rank = 2, .scale = 1}, key(4)));
  const auto loss = [](const Model& of) { return sum(of(numbers())); };
  const Model gradient = grad(loss, {.trainable = is_adapter})(model);
  for (const auto& [name, tensor] : parameters(gradient)) {
    const bool is_zero = tensor.dtype() == DType::u32 ||
                         reduce_max(abs(as_type(tensor, DType::f32))).item<double>() == 0;
    EXPECT_EQ(is_zero, !is_adapter(name)) << name;
  }
}

TEST(LowRank, TracesKeepTheirScaleApart) {
  const auto call = jit([](const Linear& layer, const Tensor& x) { return layer(x); });
  const Linear plain({.input_dims = 8, .output_dims = 3}, key(1));
  Linear once = to_lora(plain, {.rank = 2, .scale = 1}, key(2));
  once.form.lora_b = *once.form.lora_b + 1;
  Linear twice = once;
  twice.form.lora_scale = 2;
  const Tensor x = sin(iota({2, 8}));
  const Tensor zero = plain(x), one = call(once, x), two = call(twice, x);
  EXPECT_LT(difference(two - zero, (one - zero) * 2), 1e-5);
  EXPECT_GT(difference(one, zero), 1e-3);
}

// Matrices of which each row chooses one.
struct Experts {
  Tensor weight;
  WeightForm form;
  MLXNX_MEMBERS(weight, form)
  Tensor operator()(const Tensor& x, const Tensor& numbers) const {
    return times_chosen(x, weight, form, numbers);
  }
};

TEST(SeveralMatrices, AreChosenByNumberInAllForms) {
  const Experts dense{.weight = sin(iota({3, 5, 64})), .form = {}};
  const Tensor x = cos(iota({2, 1, 1, 64}));
  const Tensor numbers = tensor({{2, 0}, {1, 2}});
  const auto alone = [&](const Experts& experts, std::int64_t row, std::int64_t number) {
    const Tensor matrix = take(dense_weight(experts.weight, experts.form), Tensor(number));
    return dot(reshape(take(x, Tensor(row)), {1, 64}), {1}, matrix, {1});
  };
  for (const Experts& experts : {dense, quantize(dense, {}, {.bits = 8})}) {
    const Tensor answer = experts(x, numbers);
    ASSERT_EQ(answer.type(), (TensorType{DType::f32, {2, 2, 1, 5}}));
    EXPECT_LT(difference(take(take(answer, Tensor(0)), Tensor(0)), alone(experts, 0, 2)), 1e-4);
    EXPECT_LT(difference(take(take(answer, Tensor(1)), Tensor(0)), alone(experts, 1, 1)), 1e-4);
  }
}

TEST(SeveralMatrices, HaveAChangeEach) {
  const Experts plain{.weight = sin(iota({3, 6, 64})), .form = {}};
  const Tensor x = cos(iota({2, 1, 1, 64}));
  const Tensor numbers = tensor({{2, 0}, {1, 2}});
  Experts changed = to_lora(plain, {.rank = 2, .scale = 3}, key(4));
  EXPECT_EQ(changed.form.lora_a->shape(), (Shape{3, 2, 64}));
  EXPECT_EQ(changed.form.lora_b->shape(), (Shape{3, 6, 2}));
  EXPECT_EQ(difference(changed(x, numbers), plain(x, numbers)), 0);
  changed.form.lora_b = sin(iota({3, 6, 2}));
  EXPECT_GT(difference(changed(x, numbers), plain(x, numbers)), 1e-2);
  const Experts fused = fuse(changed);
  EXPECT_FALSE(fused.form.is_adapted());
  EXPECT_LT(difference(fused(x, numbers), changed(x, numbers)), 1e-4);
  EXPECT_THAT(error_of<UnsupportedError>([&] { to_dora(plain, {.rank = 2}, key(4)); }),
              HasSubstr("[to_dora] the layer itself has several matrices"));
}

struct Either {
  std::variant<Linear, Experts> layer;
  MLXNX_MEMBERS(layer)
};

TEST(WeightForms, WhatVariantsHoldHasTheirName) {
  const Either linear{.layer = Linear({.input_dims = 64, .output_dims = 3, .bias = false}, key(1))};
  const Either experts{.layer = Experts{.weight = sin(iota({3, 6, 64})), .form = {}}};
  for (const Either& either : {linear, experts}) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : parameters(quantize(either))) names.push_back(name);
    EXPECT_THAT(names, ElementsAre("layer.biases", "layer.scales", "layer.weight"));
    EXPECT_EQ(tensors_of(either).size(), 1U);
  }
}

TEST(QuantizedLayers, AreMadeAndRefused) {
  const QuantizedLinear layer(
      {.input_dims = 64, .output_dims = 5, .mode = QuantizationMode::kNvfp4}, key(1));
  EXPECT_EQ(layer(sin(iota({2, 64}))).type(), (TensorType{DType::f32, {2, 5}}));
  const QuantizedEmbedding table({.num_embeddings = 7, .dims = 64}, key(1));
  EXPECT_EQ(table(Tensor(-1)).shape(), (Shape{64}));
  EXPECT_EQ(table(Tensor(-1)).to_vector<float>(), table(Tensor(6)).to_vector<float>());
  EXPECT_THAT(
      error_of<ShapeError>([] { QuantizedLinear({.input_dims = 65, .output_dims = 5}, key(1)); }),
      HasSubstr("the layer quantized_linear"));
  EXPECT_THAT(error_of<ShapeError>([&] {
                layer(sin(iota({2, 32})));
              }),
              HasSubstr("[linear] the last axis of f32[2][32] should have 64 elements"));
}

}  // namespace
}  // namespace mlxnx::nn
