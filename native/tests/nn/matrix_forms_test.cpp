// Layers that are known by names, with their matrices in other forms.
#include "nn/matrix_forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mlxnx/nn/transformer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::Contains;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;

std::shared_ptr<const Layer> encoder_layer() {
  ops::Attrs options;
  options.set("dims", std::int64_t{32});
  options.set("num_heads", std::int64_t{2});
  return make(layer("transformer_encoder_layer"), options, key(1));
}

MatrixForms quantized_and_changed() {
  const Quantization how{.bits = 8, .group_size = 32};
  return {{"linear1", {.quantization = how}},
          {"attention.key_proj", {.quantization = how, .lora = LoraOptions{.rank = 2}}},
          {"linear2", {.lora = LoraOptions{.rank = 3}, .has_lengths = true}}};
}

std::vector<double> answer_of(const Layer& layer) {
  const std::optional<Tensor> x = random::normal(key(5), {1, 4, 32});
  return in_f64(call(layer, {&x, 1}).outputs.at(0));
}

std::vector<std::string> names_of(const Layer& layer) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : layer.parameters()) names.push_back(name);
  return names;
}

TEST(MatrixForms, AreThoseThatTheStructHasByItself) {
  const auto plain = encoder_layer();
  const TransformerEncoderLayer model({.dims = 32, .num_heads = 2}, key(1));
  const auto is_first = [](std::string_view name) { return name == "linear1"; };
  const auto formed =
      with_forms(*plain, {{"linear1", {.quantization = Quantization{.group_size = 32}}}}, key(2));
  const Tensor x = random::normal(key(5), {1, 4, 32});
  const Tensor wanted = quantize(model, is_first, {.group_size = 32})(x);
  EXPECT_EQ(answer_of(*formed), in_f64(wanted));
  EXPECT_THAT(matrices_of(*plain),
              ElementsAre("attention.query_proj", "attention.key_proj", "attention.value_proj",
                          "attention.out_proj", "linear1", "linear2"));
}

TEST(MatrixForms, StayWhereTheyAreAlreadyAndGoBack) {
  const auto plain = encoder_layer();
  const auto formed = with_forms(*plain, quantized_and_changed(), key(2));
  for (const char* const name : {"linear1.scales", "attention.key_proj.scales",
                                 "attention.key_proj.lora_a", "linear2.m", "linear2.lora_b"})
    EXPECT_THAT(names_of(*formed), Contains(name));
  const auto again = with_forms(*formed, quantized_and_changed(), key(3));
  // Small sums are rounded otherwise where all operands are there than in a graph.
  EXPECT_THAT(answer_of(*again), Pointwise(DoubleNear(1e-5), answer_of(*formed)));

  const auto back =
      with_forms(*formed, {{"linear1", {}}, {"attention.key_proj", {}}, {"linear2", {}}}, key(2));
  EXPECT_EQ(names_of(*back), names_of(*plain));
  const std::vector<double> first = answer_of(*plain), last = answer_of(*back);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(first[i], last[i], 0.02);
  EXPECT_NE(first, last) << "eight bits do not hold all of a weight";
}

TEST(MatrixForms, ThatDoNotFitAreNamedBelowThePath) {
  const auto plain = encoder_layer();
  EXPECT_EQ(error_of<ArgumentError>([&] {
              with_forms(*plain, {{"linear3", {}}}, key(2));
            }),
            "[transformer_encoder_layer] there is no matrix linear3");
  EXPECT_THAT(
      error_of<ShapeError>([&] {
        with_forms(*plain, {{"linear1", {.quantization = Quantization{}}}}, key(2), "layers.3");
      }),
      HasSubstr("the layer layers.3.linear1"));
}

}  // namespace
}  // namespace mlxnx::nn
