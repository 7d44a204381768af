#include "mlxnx/nn/transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "nn/layer.h"
#include "nn/layers/support.h"

namespace mlxnx::nn {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing_support::error_of;
using testing_support::in_f64;
using testing_support::key;
using testing_support::wave;

// With weights of that type, of which none is 0 or 1.
template <typename Model>
Model in_type(const Model& model, DType type = DType::f64) {
  Parameters parameters;
  for (const auto& [name, tensor] : named_tensors(model))
    parameters.emplace(name,
                       as_type(as_type(tensor, DType::f64) + wave(tensor.shape(), 0) * 0.1, type));
  return load_parameters(model, parameters);
}

TransformerLayerOptions small_layer(bool norm_first = true) {
  return {.dims = 4, .num_heads = 2, .mlp_dims = 6, .activation = "gelu", .norm_first = norm_first};
}

TransformerStackOptions small_stack(bool checkpoint = false) {
  return {.num_layers = 2, .dims = 4, .num_heads = 2, .mlp_dims = 6, .checkpoint = checkpoint};
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance) {
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_THAT(in_f64(got), Pointwise(DoubleNear(tolerance), in_f64(wanted)));
}

std::vector<std::string> names_of(const auto& model) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(model)) names.push_back(name);
  return names;
}

TEST(Transformer, NamesItsParametersAsMlxDoes) {
  const Transformer model(
      {.dims = 4, .num_heads = 2, .num_encoder_layers = 2, .num_decoder_layers = 1}, key(0));
  const std::vector<std::string> names = names_of(model);
  for (const std::string name :
       {"encoder.layers.1.attention.query_proj.weight", "encoder.layers.0.ln2.bias",
        "encoder.layers.1.linear2.bias", "encoder.ln.weight",
        "decoder.layers.0.cross_attention.out_proj.weight",
        "decoder.layers.0.self_attention.key_proj.weight", "decoder.layers.0.ln3.weight"})
    EXPECT_THAT(names, testing::Contains(name));
  EXPECT_EQ(names.size(), 2u * 12 + 2 + 18 + 2);
  EXPECT_EQ(model.encoder.layers[0].linear1.weight.shape(), (Shape{16, 4}));
  EXPECT_NE(in_f64(model.encoder.layers[0].linear1.weight),
            in_f64(model.encoder.layers[1].linear1.weight));
  EXPECT_NE(in_f64(model.decoder.layers[0].self_attention.query_proj.weight),
            in_f64(model.decoder.layers[0].cross_attention.query_proj.weight));
}

TEST(TransformerEncoderLayer, NormalisesBeforeOrAfter) {
  const Tensor x = wave({2, 3, 4}, 0);
  const Tensor seen = tensor({{1, 0, 0}, {1, 1, 0}, {1, 1, 1}}, DType::u8);
  for (const bool norm_first : {true, false}) {
    const auto layer = in_type(TransformerEncoderLayer(small_layer(norm_first), key(1)));
    const auto attend = [&](const Tensor& in) { return layer.attention(in, in, in, seen); };
    const auto mlp = [&](const Tensor& in) { return layer.linear2(gelu(layer.linear1(in))); };
    const Tensor y = norm_first ? x + attend(layer.ln1(x)) : layer.ln1(x + attend(x));
    const Tensor wanted = norm_first ? y + mlp(layer.ln2(y)) : layer.ln2(y + mlp(y));
    expect_near(layer(x, seen), wanted, 1e-14);
    expect_near(layer(x, AttentionMask::causal()), wanted, 1e-14);
  }
}

TEST(TransformerDecoderLayer, AttendsToItselfAndToTheMemory) {
  const Tensor x = wave({2, 3, 4}, 0), memory = wave({2, 5, 4}, 1);
  const Tensor mask = wave({3, 5}, 2);
  for (const bool norm_first : {true, false}) {
    const auto layer = in_type(TransformerDecoderLayer(small_layer(norm_first), key(1)));
    const auto own = [&](const Tensor& in) {
      return layer.self_attention(in, in, in, AttentionMask::causal());
    };
    const auto other = [&](const Tensor& in) {
      return layer.cross_attention(in, memory, memory, mask);
    };
    const auto mlp = [&](const Tensor& in) { return layer.linear2(gelu(layer.linear1(in))); };
    const Tensor y = norm_first ? x + own(layer.ln1(x)) : layer.ln1(x + own(x));
    const Tensor z = norm_first ? y + other(layer.ln2(y)) : layer.ln2(y + other(y));
    const Tensor wanted = norm_first ? z + mlp(layer.ln3(z)) : layer.ln3(z + mlp(z));
    expect_near(layer(x, memory, AttentionMask::causal(), mask), wanted, 1e-14);
  }
}

TEST(Transformer, LeadsSourcesAndTargetsThroughItsStacks) {
  const TransformerOptions options{
      .dims = 4, .num_heads = 2, .num_encoder_layers = 1, .num_decoder_layers = 2, .mlp_dims = 6};
  const auto model = in_type(Transformer(options, key(1)));
  const Tensor src = wave({2, 5, 4}, 0), tgt = wave({2, 3, 4}, 1);
  const Tensor src_mask = wave({5, 5}, 2), memory_mask = wave({3, 5}, 3);
  const Tensor memory = model.encoder.ln(model.encoder.layers[0](src, src_mask));
  Tensor wanted = tgt;
  for (const auto& layer : model.decoder.layers)
    wanted = layer(wanted, memory, AttentionMask::causal(), memory_mask);
  expect_near(model(src, tgt, src_mask, AttentionMask::causal(), memory_mask),
              model.decoder.ln(wanted), 1e-14);
}

TEST(TransformerEncoder, HasTheSameGradientsByCheckpoints) {
  const Tensor x = wave({2, 3, 4}, 0), mask = wave({3, 3}, 1);
  const auto plain = in_type(TransformerEncoder(small_stack(false), key(1)));
  const auto again = in_type(TransformerEncoder(small_stack(true), key(1)));
  const auto loss = [](const TransformerEncoder& model, const Tensor& in, const Tensor& m) {
    return sum(model(in, m, key(4)) * wave({2, 3, 4}, 2));
  };
  const auto wanted = tensors_of(grad<0, 1, 2>(loss)(plain, x, mask));
  const auto got = tensors_of(jit(grad<0, 1, 2>(loss))(again, x, mask));
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) expect_near(got[i], wanted[i], 1e-12);
  // A difference of one of them.
  const Tensor step = wave(x.shape(), 5) * 1e-5;
  const double difference =
      (loss(plain, x + step, mask) - loss(plain, x - step, mask)).item<double>() / 2;
  EXPECT_NEAR(sum(wanted[wanted.size() - 2] * step).item<double>(), difference, 1e-10);
}

TEST(TransformerDecoder, HasTheSameGradientsByCheckpoints) {
  const Tensor x = wave({2, 3, 4}, 0), memory = wave({2, 5, 4}, 1);
  const auto plain = in_type(TransformerDecoder(small_stack(false), key(1)));
  const auto again = in_type(TransformerDecoder(small_stack(true), key(1)));
  const auto loss = [](const TransformerDecoder& model, const Tensor& in, const Tensor& m) {
    return sum(model(in, m, AttentionMask::causal()) * wave({2, 3, 4}, 2));
  };
  const auto wanted =
      tensors_of(grad<0, 1, 2>([&](const auto& model, const Tensor& in, const Tensor& m) {
        return loss(model, in, m);
      })(plain, x, memory));
  const auto got = tensors_of(grad<0, 1, 2>(loss)(again, x, memory));
  for (std::size_t i = 0; i < got.size(); ++i) expect_near(got[i], wanted[i], 1e-12);
}

TEST(Transformer, DropsOutByItsKeyInTraining) {
  TransformerOptions options{.dims = 4,
                             .num_heads = 2,
                             .num_encoder_layers = 2,
                             .num_decoder_layers = 2,
                             .mlp_dims = 6,
                             .dropout = 0.5};
  const auto model = in_type(Transformer(options, key(1)));
  options.dropout = 0;
  const auto without = in_type(Transformer(options, key(1)));
  const Tensor src = wave({1, 5, 4}, 0), tgt = wave({1, 3, 4}, 1);
  const auto run = [&](const Transformer& m, const std::optional<Tensor>& k) {
    return in_f64(m(src, tgt, {}, {}, {}, k));
  };
  EXPECT_EQ(run(model, std::nullopt), run(without, std::nullopt));
  EXPECT_EQ(run(without, key(2)), run(without, std::nullopt));
  EXPECT_EQ(run(model, key(2)), run(model, key(2)));
  EXPECT_NE(run(model, key(2)), run(model, key(3)));
  EXPECT_NE(run(model, key(2)), run(model, std::nullopt));
}

TEST(TransformerEncoderLayer, DropsAttentionAndProductsByKeysOfTheirOwn) {
  TransformerLayerOptions options = small_layer();
  options.dropout = 0.5;
  const auto layer = in_type(TransformerEncoderLayer(options, key(1)));
  const Tensor x = wave({8, 3, 4}, 0);
  const Tensor attended = layer.attention(layer.ln1(x), layer.ln1(x), layer.ln1(x));
  auto silent = layer;
  silent.linear2.weight = layer.linear2.weight * 0;
  silent.linear2.bias = *layer.linear2.bias * 0;
  // What attention adds is twice as much, or nothing.
  const std::vector<double> added = in_f64((silent(x, {}, key(2)) - x) / attended);
  int dropped = 0;
  for (const double ratio : added) {
    EXPECT_TRUE(std::abs(ratio) < 1e-12 || std::abs(ratio - 2) < 1e-9) << ratio;
    dropped += std::abs(ratio) < 1e-12;
  }
  EXPECT_GT(dropped, 25);
  EXPECT_LT(dropped, 70);
}

TEST(TransformerEncoder, IsCompiledAndMappedAndNeedsNoBatch) {
  const auto model = in_type(TransformerEncoder(small_stack(), key(1)));
  const Tensor x = wave({3, 5, 4}, 0);
  const auto apply = [](const TransformerEncoder& m, const Tensor& in) {
    return m(in, AttentionMask::causal());
  };
  const Tensor wanted = apply(model, x);
  expect_near(jit(apply)(model, x), wanted, 1e-13);
  expect_near(vmap(apply, {std::nullopt, 0})(model, x), wanted, 1e-13);
}

TEST(TransformerEncoder, KeepsTypes) {
  const TransformerEncoder fresh(small_stack(), key(1));
  const Tensor x = wave({2, 3, 4}, 0);
  const Tensor wanted = in_type(fresh)(x);
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Tensor y = in_type(fresh, type)(as_type(x, type));
    EXPECT_EQ(y.dtype(), type);
    expect_near(y, wanted, type == DType::f32 ? 1e-5 : type == DType::f16 ? 1e-2 : 6e-2);
  }
}

TEST(TransformerEncoder, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of<ArgumentError>([] {
              TransformerEncoderLayer({.dims = 4, .num_heads = 2, .activation = "nothing"}, key(0));
            }),
            "[transformer_encoder_layer] activation is \"nothing\"; it has to be the name of an "
            "activation function of one tensor");
  EXPECT_THROW(TransformerEncoder({.num_layers = -1, .dims = 4, .num_heads = 2}, key(0)),
               ArgumentError);
  EXPECT_THROW(TransformerEncoder({.num_layers = 1, .dims = 4, .num_heads = 3}, key(0)),
               ArgumentError);
  EXPECT_THAT(error_of<ArgumentError>([] { TransformerEncoderLayer({.num_heads = 3}, key(0)); }),
              HasSubstr("dims has to be given"));
  const TransformerEncoder model(small_stack(), key(0));
  EXPECT_THROW(model(wave({2, 3, 5}, 0)), ShapeError);
  EXPECT_THROW(model(wave({2, 3, 4}, 0), wave({2, 2}, 0)), ShapeError);
  const TransformerEncoder none({.num_layers = 0, .dims = 4, .num_heads = 2}, key(0));
  expect_near(none(wave({3, 4}, 0)), none.ln(wave({3, 4}, 0)), 0);
}

TEST(TransformerRows, NeedAKeyOnlyWhereSomethingIsDropped) {
  const ops::Attrs options{{"num_layers", std::int64_t{1}},
                           {"dims", std::int64_t{4}},
                           {"num_heads", std::int64_t{2}},
                           {"dropout", 0.5}};
  const auto made = make(layer("transformer_encoder"), options, key(1));
  const Tensor x = wave({1, 3, 4}, 0, DType::f32);
  const std::vector<std::optional<Tensor>> operands{x}, with_key{x, std::nullopt, key(2)};
  EXPECT_EQ(error_of<ArgumentError>([&] { call(*made, operands); }),
            "[transformer_encoder] needs the operand key, or the option training to be false");
  const auto quiet = call(*made, operands, {{"training", false}}).outputs.at(0);
  EXPECT_NE(in_f64(call(*made, with_key).outputs.at(0)), in_f64(quiet));
  EXPECT_EQ(in_f64(call(*made, with_key, {{"training", false}}).outputs.at(0)), in_f64(quiet));
  const auto causal =
      call(*made, operands, {{"training", false}, {"mask", std::string("causal")}}).outputs.at(0);
  EXPECT_NE(in_f64(causal), in_f64(quiet));
}

}  // namespace
}  // namespace mlxnx::nn
