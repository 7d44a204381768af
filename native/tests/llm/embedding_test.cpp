#include "mlxnx/llm/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "error_of.h"
#include "llm/tiny_bert.h"
#include "llm/tiny_models.h"
#include "mlxnx/error.h"
#include "mlxnx/quantize.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;
using Row = std::vector<double>;

const Texts kTexts = {"the cat sleeps.", "", "dogs run", "the the the the dog runs.", "x"};

// What BERT is, number by number.
class PlainBert {
 public:
  explicit PlainBert(const nn::Parameters& weights) {
    for (const auto& [name, tensor] : weights)
      values_.emplace(name, as_type(tensor, DType::f64).to_vector<double>());
  }

  std::vector<Row> operator()(const Ids& ids) const {
    std::vector<Row> x;
    for (std::size_t at = 0; at < ids.size(); ++at) {
      Row row(kBertDims);
      for (std::size_t i = 0; i < kBertDims; ++i) {
        row[i] = of("embeddings.word_embeddings.weight")[ids[at] * kBertDims + i] +
                 of("embeddings.position_embeddings.weight")[at * kBertDims + i] +
                 of("embeddings.token_type_embeddings.weight")[i];
      }
      x.push_back(normed("embeddings", row));
    }
    for (int layer = 0; layer < kBertLayers; ++layer)
      x = after("encoder.layer." + std::to_string(layer) + ".", x);
    return x;
  }

 private:
  const Row& of(const std::string& name) const { return values_.at(name); }

  Row normed(const std::string& name, const Row& x) const {
    double mean = 0, variance = 0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    for (const double value : x)
      variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
    Row result;
    for (std::size_t i = 0; i < x.size(); ++i) {
      result.push_back((x[i] - mean) / std::sqrt(variance + 1e-12) *
                           of(name + ".LayerNorm.weight")[i] +
                       of(name + ".LayerNorm.bias")[i]);
    }
    return result;
  }

  Row linear(const std::string& name, const Row& x) const {
    Row result = of(name + ".bias");
    const Row& weight = of(name + ".weight");
    for (std::size_t i = 0; i < result.size(); ++i) {
      for (std::size_t k = 0; k < x.size(); ++k) result[i] += weight[i * x.size() + k] * x[k];
    }
    return result;
  }

  static Row sum(Row a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }

  std::vector<Row> after(const std::string& at, const std::vector<Row>& x) const {
    constexpr std::size_t kSize = kBertDims / kBertHeads;
    std::vector<Row> result;
    for (const Row& own : x) {
      const Row query = linear(at + "attention.self.query", own);
      Row seen(kBertDims, 0);
      for (std::size_t head = 0; head < kBertDims; head += kSize) {
        double total = 0;
        for (const Row& other : x) {
          const Row key = linear(at + "attention.self.key", other);
          const Row value = linear(at + "attention.self.value", other);
          double product = 0;
          for (std::size_t i = head; i < head + kSize; ++i) product += query[i] * key[i];
          const double share = std::exp(product / std::sqrt(double{kSize}));
          total += share;
          for (std::size_t i = head; i < head + kSize; ++i) seen[i] += share * value[i];
        }
        for (std::size_t i = head; i < head + kSize; ++i) seen[i] /= total;
      }
      const Row h =
          normed(at + "attention.output", sum(linear(at + "attention.output.dense", seen), own));
      Row inner = linear(at + "intermediate.dense", h);
      for (double& value : inner) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
      result.push_back(normed(at + "output", sum(linear(at + "output.dense", inner), h)));
    }
    return result;
  }

  std::map<std::string, Row> values_;
};

Row row_of(const Tensor& vectors, std::size_t row) {
  const auto all = vectors.to_vector<float>();
  const auto size = static_cast<std::ptrdiff_t>(vectors.shape()[1]);
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row) * size;
  return {begin, begin + size};
}

// A causal model whose tokenizer puts nothing around texts.
void write_llama(const TempFolder& folder) {
  const llm::Model model = tiny_llama();
  folder.write("config.json", model.config().to_json());
  nlohmann::json tokenizer = byte_level_json();
  tokenizer["post_processor"] = nullptr;
  folder.write("tokenizer.json", tokenizer.dump());
  const nn::NamedTensors tensors = model.named_tensors();
  save_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
}

TEST(Embedding, IsWhatBertComputes) {
  const TempFolder folder;
  write_bert(folder);
  const auto model = llm::EmbeddingModel::load(folder.path());
  const PlainBert plain(bert_weights());
  using llm::Pooling;
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    const Tensor vectors = model.embed(kTexts, {.pooling = pooling, .normalize = false});
    ASSERT_EQ(vectors.shape(), Shape({5, kBertDims}));
    for (std::size_t text = 0; text < kTexts.size(); ++text) {
      const std::vector<Row> rows = plain(model.tokens(kTexts[text]));
      Row expected = pooling == Pooling::kLast ? rows.back() : rows.front();
      if (pooling == Pooling::kMean) {
        expected = Row(kBertDims, 0);
        for (const Row& row : rows) {
          for (std::size_t i = 0; i < row.size(); ++i)
            expected[i] += row[i] / static_cast<double>(rows.size());
        }
      }
      EXPECT_THAT(row_of(vectors, text), testing::Pointwise(testing::DoubleNear(1e-5), expected))
          << name(pooling) << ", " << kTexts[text];
    }
  }
}

TEST(Embedding, HasTheLengthOneUnlessRaw) {
  const TempFolder folder;
  write_bert(folder);
  const auto model = llm::EmbeddingModel::load(folder.path());
  const Tensor vectors = model.embed(kTexts), raw = model.embed(kTexts, {.normalize = false});
  for (std::size_t text = 0; text < kTexts.size(); ++text) {
    const Row one = row_of(vectors, text), other = row_of(raw, text);
    const double length =
        std::sqrt(std::inner_product(other.begin(), other.end(), other.begin(), 0.0));
    EXPECT_GT(std::abs(length - 1), 0.01);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], other[i] / length, 1e-6);
  }
}

TEST(Embedding, IsTheSameInABatchAsAlone) {
  for (const bool is_causal : {false, true}) {
    const TempFolder folder;
    if (is_causal) {
      write_llama(folder);
    } else {
      write_bert(folder);
    }
    const auto model = llm::EmbeddingModel::load(folder.path());
    const Tensor together = model.embed(kTexts), in_twos = model.embed(kTexts, {.batch_size = 2});
    for (std::size_t text = 0; text < kTexts.size(); ++text) {
      const Row alone = row_of(model.embed(std::span(kTexts).subspan(text, 1)), 0);
      EXPECT_THAT(row_of(together, text), testing::Pointwise(testing::DoubleNear(1e-5), alone));
      EXPECT_THAT(row_of(in_twos, text), testing::Pointwise(testing::DoubleNear(1e-5), alone));
    }
  }
}

TEST(Embedding, OfACausalModelIsOfItsLastToken) {
  const TempFolder folder;
  write_llama(folder);
  const auto model = llm::EmbeddingModel::load(folder.path());
  const llm::Model plain = tiny_llama();
  const Texts texts = {"hello world", ""};
  llm::Cache cache = plain.make_cache();
  const Ids ids = model.tokens(texts[0]);
  const Tensor rows = squeeze(plain.hidden(tokens_of({ids}), cache), {.axes = Axes{0}});
  EXPECT_EQ(cache.offset, std::ssize(ids));
  const Tensor last = model.embed(texts, {.normalize = false});
  EXPECT_THAT(row_of(last, 0),
              testing::Pointwise(testing::DoubleNear(1e-5), row_of(rows, ids.size() - 1)));
  EXPECT_THAT(row_of(last, 1), testing::Each(0.0));
  const Tensor means = model.embed(texts, {.pooling = llm::Pooling::kMean, .normalize = false});
  const Tensor mean_row =
      sum(rows, {.axes = Axes{0}, .keep_axes = true}) / static_cast<double>(ids.size());
  EXPECT_THAT(row_of(means, 0), testing::Pointwise(testing::DoubleNear(1e-5), row_of(mean_row, 0)));
}

TEST(Embedding, CutsTheTextAndKeepsWhatIsAroundIt) {
  const TempFolder folder;
  write_bert(folder);
  const auto model = llm::EmbeddingModel::load(folder.path());
  EXPECT_THAT(model.tokens("the cat sleeps."), ElementsAre(2, 4, 5, 7, 8, 10, 3));
  EXPECT_THAT(model.tokens("the cat sleeps.", 4), ElementsAre(2, 4, 5, 3));
  EXPECT_THAT(model.tokens("the cat sleeps.", 2), ElementsAre(2, 3));
  EXPECT_EQ(model.defaults().max_length, kBertPositions);
  std::string longer;
  for (int word = 0; word < 40; ++word) longer += "cat ";
  EXPECT_EQ(model.tokens(longer).size(), 16U);
  EXPECT_EQ(model.embed(Texts{longer}).shape(), Shape({1, kBertDims}));
  EXPECT_THAT(error_of<ArgumentError>([&] { model.tokens("the cat", 1); }),
              HasSubstr("puts 2 tokens around"));
  EXPECT_THAT(error_of<ArgumentError>([&] { model.embed(kTexts, {.max_length = 17}); }),
              HasSubstr("has 16 positions"));
  EXPECT_THAT(error_of<ArgumentError>([&] { model.embed({}); }), HasSubstr("no text"));
  EXPECT_THAT(error_of<ArgumentError>([&] { model.embed(kTexts, {.batch_size = 0}); }),
              HasSubstr("batch_size is 0"));
}

// The folder's `modules.json` with these steps behind the model.
void write_modules(const TempFolder& folder, const std::vector<std::string>& steps,
                   const char* pooling) {
  nlohmann::json modules = {{{"path", ""}, {"type", "sentence_transformers.models.Transformer"}}};
  for (const std::string& step : steps) {
    modules.push_back({{"path", "1_Pooling"}, {"type", "sentence_transformers.models." + step}});
  }
  folder.write("modules.json", modules.dump());
  std::filesystem::create_directories(folder / "1_Pooling");
  folder.write("1_Pooling/config.json", pooling);
}

TEST(Embedding, TakesItsDefaultsFromTheFolder) {
  const TempFolder folder;
  write_bert(folder);
  const auto defaults = [&] { return llm::EmbeddingModel::load(folder.path()).defaults(); };
  EXPECT_EQ(defaults().pooling, llm::Pooling::kMean);
  EXPECT_TRUE(defaults().normalize.value());
  constexpr const char* kCls =
      R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})";
  write_modules(folder, {"Pooling"}, kCls);
  folder.write("tokenizer_config.json", R"({"model_max_length": 1e30})");
  folder.write("sentence_bert_config.json", R"({"max_seq_length": 9})");
  EXPECT_EQ(defaults().pooling, llm::Pooling::kCls);
  EXPECT_FALSE(defaults().normalize.value());
  EXPECT_EQ(defaults().max_length, 9);
  write_modules(folder, {"Pooling", "Normalize"}, R"({"pooling_mode_lasttoken": true})");
  folder.write("sentence_bert_config.json", R"({"max_seq_length": 900})");
  EXPECT_EQ(defaults().pooling, llm::Pooling::kLast);
  EXPECT_TRUE(defaults().normalize.value());
  EXPECT_EQ(defaults().max_length, kBertPositions);
  write_modules(folder, {"Pooling", "Dense"}, kCls);
  EXPECT_THAT(error_of<UnsupportedError>(defaults), HasSubstr("models.Dense"));
  write_modules(folder, {"Pooling"}, R"({"pooling_mode_max_tokens": true})");
  EXPECT_THAT(error_of<UnsupportedError>(defaults), HasSubstr("max_tokens"));
}

TEST(Embedding, KnowsTheNamesThatFoldersHave) {
  const TempFolder folder, other;
  write_bert(folder);
  nn::Parameters renamed;
  for (const auto& [name, tensor] : bert_weights()) {
    std::string old = "bert." + name;
    for (const auto& [from, to] : {std::pair{"LayerNorm.weight", "LayerNorm.gamma"},
                                   std::pair{"LayerNorm.bias", "LayerNorm.beta"}}) {
      if (old.ends_with(from)) old.replace(old.size() - std::string(from).size(), 99, to);
    }
    renamed.emplace(old, tensor);
  }
  renamed.emplace("bert.embeddings.position_ids", iota({1, kBertPositions}));
  renamed.emplace("bert.pooler.dense.weight", iota({kBertDims, kBertDims}));
  renamed.emplace("cls.predictions.bias", iota({kBertWords}));
  write_bert(other, bert_config(), renamed);
  EXPECT_EQ(distance(llm::EmbeddingModel::load(folder.path()).embed(kTexts),
                     llm::EmbeddingModel::load(other.path()).embed(kTexts)),
            0);
  renamed.erase("bert.encoder.layer.1.output.dense.bias");
  write_bert(other, bert_config(), renamed);
  EXPECT_THAT(error_of<ArgumentError>([&] { llm::EmbeddingModel::load(other.path()); }),
              HasSubstr("encoder.layer.1.output.dense.bias"));
}

TEST(Embedding, OfRobertaCountsPositionsFromBehindItsPadding) {
  const TempFolder folder, moved;
  write_bert(folder);
  nlohmann::json config = bert_config();
  config["model_type"] = "xlm-roberta";
  config["pad_token_id"] = 2;
  config["max_position_embeddings"] = kBertPositions + 3;
  config["layer_norm_eps"] = 1e-12;
  nn::Parameters weights = bert_weights();
  Tensor& positions = weights.at("embeddings.position_embeddings.weight");
  positions = concatenate({broadcast(Tensor(9.0F), {3, kBertDims}), positions}, {.axis = 0});
  write_bert(moved, config, weights);
  const auto model = llm::EmbeddingModel::load(moved.path());
  EXPECT_EQ(model.defaults().max_length, kBertPositions);
  EXPECT_EQ(distance(model.embed(kTexts), llm::EmbeddingModel::load(folder.path()).embed(kTexts)),
            0);
}

TEST(Embedding, TakesWeightsOfFewBits) {
  const TempFolder folder, packed, half;
  nlohmann::json config = bert_config();
  config["hidden_size"] = 64;
  config["intermediate_size"] = 64;
  nn::Parameters weights, quantized, bf16;
  for (const auto& [name, tensor] : bert_weights()) {
    Shape shape = tensor.shape();
    for (auto& size : shape) size = size == kBertDims || size == kBertInner ? 64 : size;
    const Tensor drawn = random::normal(random::key(weights.size()), shape) * 0.2;
    weights.emplace(name, drawn);
    bf16.emplace(name, as_type(drawn, DType::bf16));
    if (shape.size() != 2) {
      quantized.emplace(name, drawn);
      continue;
    }
    const std::string layer = name.substr(0, name.size() - std::string(".weight").size());
    const Quantized matrix = quantize(drawn, {.bits = 8, .group_size = 32});
    quantized.emplace(name, matrix.weight);
    quantized.emplace(layer + ".scales", matrix.scales);
    quantized.emplace(layer + ".biases", matrix.biases.value());
  }
  write_bert(folder, config, weights);
  write_bert(half, config, bf16);
  config["quantization"] = {{"bits", 8}, {"group_size", 32}};
  write_bert(packed, config, quantized);
  const Tensor dense = llm::EmbeddingModel::load(folder.path()).embed(kTexts);
  const Tensor few_bits = llm::EmbeddingModel::load(packed.path()).embed(kTexts);
  const Tensor halves = llm::EmbeddingModel::load(half.path()).embed(kTexts);
  EXPECT_GT(distance(dense, few_bits), 0);
  EXPECT_LT(distance(dense, few_bits), 0.02);
  EXPECT_EQ(halves.dtype(), DType::f32);
  EXPECT_LT(distance(dense, halves), 0.02);
}

TEST(Embedding, RefusesWhatItHasNot) {
  const TempFolder folder;
  nlohmann::json config = bert_config();
  const auto refused = [&] {
    write_bert(folder, config);
    return error_of<UnsupportedError>([&] { llm::EmbeddingModel::load(folder.path()); });
  };
  config["position_embedding_type"] = "relative_key";
  EXPECT_THAT(refused(), HasSubstr("relative_key"));
  config = bert_config();
  config["hidden_act"] = "snake";
  EXPECT_THAT(refused(), HasSubstr("snake"));
  write_bert(folder);
  EXPECT_THAT(error_of<UnsupportedError>([&] { llm::Model::load(folder.path()); }),
              HasSubstr("EmbeddingModel"));
}

TEST(Embedding, GoesThroughTextsOfAlikeLengthUntilItIsToldToEnd) {
  const TempFolder folder;
  write_bert(folder);
  const auto model = llm::EmbeddingModel::load(folder.path());
  std::vector<std::uint64_t> steps;
  // Of 10, 7, 5, 3 and 2 tokens.
  model.embed(kTexts, {}, [&](std::uint64_t done, std::uint64_t) {
    steps.push_back(done);
    return true;
  });
  EXPECT_THAT(steps, ElementsAre(2, 4, 5));
  steps.clear();
  const auto go_on = [&](std::uint64_t done, std::uint64_t) {
    steps.push_back(done);
    return done < 4;
  };
  EXPECT_THAT(error_of<ArgumentError>([&] { model.embed(kTexts, {.batch_size = 2}, go_on); }),
              HasSubstr("interrupted"));
  // Before the first vectors, while texts become tokens.
  const std::vector<std::string> many(3000, "cat");
  std::vector<std::uint64_t> totals;
  const auto second = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(done, 0U);
    totals.push_back(total);
    return totals.size() < 2;
  };
  EXPECT_THAT(error_of<ArgumentError>([&] { model.embed(many, {}, second); }),
              HasSubstr("interrupted"));
  EXPECT_EQ(totals, std::vector<std::uint64_t>(2, 3000));
  EXPECT_THAT(steps, ElementsAre(2, 4));
}

}  // namespace
}  // namespace mlxnx
