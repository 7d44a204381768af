#include "mlxnx/llm/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <variant>
#include <vector>

#include "files/json_file.h"
#include "llm/encoder.h"
#include "llm/lost.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {

struct EmbeddingModel::Parts {
  std::variant<Model, std::unique_ptr<const Encoder>> model;
  Tokenizer tokenizer;
  EmbedOptions defaults;
  std::size_t bytes = 0;

  std::int64_t most_tokens() const {
    const auto* encoder = std::get_if<std::unique_ptr<const Encoder>>(&model);
    return encoder == nullptr ? INT64_MAX : (*encoder)->max_length();
  }
};

namespace {

using nlohmann::json;
using Ids = std::vector<std::uint32_t>;

std::unique_ptr<Encoder> load_encoder(const EncoderFamily& family, const Checkpoint& checkpoint,
                                      const LoadOptions& options) {
  if (options.adapter) throw UnsupportedError("[load] encoders take no adapters");
  Maker maker;
  std::unique_ptr<Encoder> encoder = family.make(checkpoint.config(), maker);
  nn::Parameters weights = checkpoint.read();
  family.sanitize(weights);
  nn::weights::load(*encoder, weights, checkpoint.config(), true);
  return encoder;
}

std::optional<Config> settings_in(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  return Config::read(path);
}

// The one that sentence-transformers' settings of a pooling have.
Pooling pooling_in(const Config& settings) {
  constexpr std::pair<std::string_view, Pooling> kModes[] = {{"mean", Pooling::kMean},
                                                             {"mean_tokens", Pooling::kMean},
                                                             {"cls", Pooling::kCls},
                                                             {"cls_token", Pooling::kCls},
                                                             {"lasttoken", Pooling::kLast}};
  constexpr std::string_view kPrefix = "pooling_mode_";
  std::vector<std::string> modes;
  if (settings.contains("pooling_mode")) modes.push_back(settings.get<std::string>("pooling_mode"));
  for (const std::string& key : settings.keys()) {
    if (key.starts_with(kPrefix) && settings.get<bool>(key))
      modes.push_back(key.substr(kPrefix.size()));
  }
  for (const auto& [mode, pooling] : kModes) {
    if (modes.size() == 1 && modes.front() == mode) return pooling;
  }
  throw UnsupportedError(
      fmt::format("[load] the pooling is {}; mean, cls and last token are known, one of them",
                  modes.empty() ? "not said" : fmt::format("{}", fmt::join(modes, " and "))));
}

// What the steps of `modules.json` are.
void take_modules(const std::filesystem::path& folder, EmbedOptions& defaults) {
  const std::filesystem::path path = folder / "modules.json";
  if (!std::filesystem::is_regular_file(path)) return;
  constexpr std::uint64_t kMostBytes = 1 << 20;
  const json steps = files::read_json(path, "load", kMostBytes);
  if (!steps.is_array()) throw FormatError("[load] modules.json is no list");
  defaults.normalize = false;
  for (const json& step : steps) {
    const Config settings = Config::parse(step.dump());
    const auto type = settings.get<std::string>("type");
    const std::string kind = type.substr(type.rfind('.') + 1);
    if (kind == "Normalize") {
      defaults.normalize = true;
    } else if (kind == "Pooling") {
      const auto path = settings.get<std::string>("path");
      if (path == ".." || path.find('/') != std::string::npos)
        throw FormatError(fmt::format("[load] modules.json names {:?}, which is no folder", path));
      defaults.pooling = pooling_in(Config::read(folder / path / "config.json"));
    } else if (kind != "Transformer") {
      throw UnsupportedError(
          fmt::format("[load] modules.json has the step {}; Transformer, Pooling and Normalize are "
                      "known",
                      type));
    }
  }
}

std::optional<std::int64_t> length_in(const std::optional<Config>& settings, std::string_view key) {
  // Tokenizers without a limit have 1e30 there, which is no integer.
  if (!settings || !settings->contains(key)) return std::nullopt;
  const auto length = settings->get<double>(key);
  if (length < 1) throw FormatError(fmt::format("[load] {} is {}", key, length));
  return length < 1e15 ? std::optional(static_cast<std::int64_t>(length)) : std::nullopt;
}

std::optional<std::int64_t> max_length_of(const Checkpoint& checkpoint, std::int64_t most) {
  const std::filesystem::path& folder = checkpoint.path();
  std::optional<std::int64_t> length =
      length_in(settings_in(folder / "sentence_bert_config.json"), "max_seq_length");
  if (!length) {
    length = length_in(settings_in(folder / "tokenizer_config.json"), "model_max_length");
    const auto positions = length_in(text_config(checkpoint.config()), "max_position_embeddings");
    if (positions) length = std::min(*positions, length.value_or(*positions));
  }
  if (most != INT64_MAX) length = std::min(most, length.value_or(most));
  return length;
}

// Texts of ids, padded behind, and how much each token's row counts: `[batch, 1, length]`.
struct Batch {
  Tensor tokens, mask, weights;
  bool is_padded = false;
};

Batch batch_of(const std::vector<Ids>& texts, std::span<const std::size_t> which, Pooling pooling) {
  std::size_t longest = 0;
  for (const std::size_t text : which) longest = std::max(longest, texts[text].size());
  const std::size_t count = which.size() * longest;
  Ids ids(count, 0);
  std::vector<std::uint8_t> seen(count, 0);
  std::vector<float> weights(count, 0);
  Batch batch;
  for (std::size_t row = 0; row < which.size(); ++row) {
    const Ids& text = texts[which[row]];
    const std::size_t begin = row * longest, size = text.size();
    const auto put = [&](auto& values, std::size_t at, std::size_t length, auto value) {
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(begin + at), length, value);
    };
    std::ranges::copy(text, ids.begin() + static_cast<std::ptrdiff_t>(begin));
    put(seen, 0, size, std::uint8_t{1});
    switch (pooling) {
      case Pooling::kMean:
        put(weights, 0, size, 1.0F / static_cast<float>(size));
        break;
      case Pooling::kCls:
        put(weights, 0, 1, 1.0F);
        break;
      case Pooling::kLast:
        put(weights, size - 1, 1, 1.0F);
        break;
    }
    batch.is_padded |= size != longest;
  }
  const auto rows = std::ssize(which), length = static_cast<std::int64_t>(longest);
  batch.tokens = Tensor::from_span(std::span<const std::uint32_t>(ids), {rows, length});
  batch.mask = Tensor::from_span(std::span<const std::uint8_t>(seen), {rows, length});
  batch.weights = Tensor::from_span(std::span<const float>(weights), {rows, 1, length});
  return batch;
}

// How many of the texts, the longest of which come first, are computed together: as many as may be
// without padding that is more than a quarter of them.
std::size_t count_alike(const std::vector<Ids>& texts, std::span<const std::size_t> order,
                        std::int64_t most) {
  const std::size_t longest = texts[order.front()].size();
  std::size_t count = 0, tokens = 0;
  for (const std::size_t text : order) {
    tokens += texts[text].size();
    if (std::cmp_equal(count, most) || texts[text].empty() ||
        4 * longest * (count + 1) > 5 * tokens)
      break;
    ++count;
  }
  return count;
}

Tensor rows_of(const Model& model, const Batch& batch) {
  // No token sees what is behind it, so that padding there needs no mask.
  Cache cache = model.make_cache();
  return model.hidden(batch.tokens, cache);
}

Tensor rows_of(const std::unique_ptr<const Encoder>& encoder, const Batch& batch) {
  return encoder->rows(batch.tokens, batch.is_padded ? std::optional(batch.mask) : std::nullopt);
}

Tensor pooled(const Tensor& rows, const Tensor& weights, bool is_normalized) {
  const Tensor vectors =
      squeeze(dot(weights, {2}, {0}, as_type(rows, DType::f32), {1}, {0}), {.axes = Axes{1}});
  if (!is_normalized) return vectors;
  const Tensor length = sqrt(sum(vectors * vectors, {.axes = Axes{1}, .keep_axes = true}));
  return vectors / max(length, Tensor(1e-12F));
}

}  // namespace

std::string_view name(Pooling pooling) {
  return pooling == Pooling::kMean ? "mean" : pooling == Pooling::kCls ? "cls" : "last";
}

std::optional<Pooling> pooling_of(std::string_view name) {
  const auto* const found =
      std::ranges::find(kPoolings, name, [](Pooling pooling) { return llm::name(pooling); });
  return found == std::end(kPoolings) ? std::nullopt : std::optional(*found);
}

EmbeddingModel::EmbeddingModel(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

EmbeddingModel EmbeddingModel::load(const std::filesystem::path& path, const LoadOptions& options) {
  return load(Checkpoint(path, {.requantize = options.requantize}), options);
}

EmbeddingModel EmbeddingModel::load(const Checkpoint& checkpoint, const LoadOptions& options) {
  const EncoderFamily* family = find_encoder(model_type(checkpoint.config()));
  EmbedOptions defaults{.pooling = family == nullptr ? Pooling::kLast : Pooling::kMean,
                        .normalize = true};
  take_modules(checkpoint.path(), defaults);
  Tokenizer tokenizer = checkpoint.tokenizer();
  std::size_t bytes = 0;
  const auto loaded = [&]() -> decltype(Parts::model) {
    if (family == nullptr) {
      Model model = Model::load(checkpoint, options);
      for (const auto& [name, tensor] : model.named_tensors()) bytes += tensor.byte_size();
      return model;
    }
    std::unique_ptr<Encoder> encoder = load_encoder(*family, checkpoint, options);
    encoder->visit_tensors(
        [&](const std::string&, Tensor& tensor) { bytes += tensor.byte_size(); });
    return encoder;
  };
  auto parts = std::make_shared<Parts>(Parts{loaded(), std::move(tokenizer), defaults});
  parts->bytes = bytes;
  parts->defaults.max_length = max_length_of(checkpoint, parts->most_tokens());
  return EmbeddingModel(std::move(parts));
}

const EmbedOptions& EmbeddingModel::defaults() const { return parts_->defaults; }
const Tokenizer& EmbeddingModel::tokenizer() const { return parts_->tokenizer; }
std::size_t EmbeddingModel::byte_size() const { return parts_->bytes; }

std::vector<std::uint32_t> EmbeddingModel::tokens(std::string_view text,
                                                  std::optional<std::int64_t> max_length) const {
  const std::optional<std::int64_t> most = max_length ? max_length : parts_->defaults.max_length;
  Ids ids = parts_->tokenizer.encode(text);
  if (!most || std::cmp_less_equal(ids.size(), *most)) return ids;
  // The end of the text goes, and what the tokenizer puts behind it stays.
  const Ids bare = parts_->tokenizer.encode(text, {.add_special = false});
  const auto surplus = std::ssize(ids) - *most, kept = std::ssize(bare) - surplus;
  if (kept < 0 || *most < 1) {
    throw ArgumentError(
        fmt::format("[embed] max_length is {}, and the tokenizer puts {} tokens around each text",
                    *most, std::ssize(ids) - std::ssize(bare)));
  }
  const auto found = std::ranges::search(ids, bare);
  if (found.empty()) {
    ids.resize(static_cast<std::size_t>(*most));
  } else {
    ids.erase(found.begin() + kept, found.end());
  }
  return ids;
}

Tensor EmbeddingModel::embed(std::span<const std::string> texts, const EmbedOptions& options,
                             const Progress& progress) const {
  const EmbedOptions& defaults = parts_->defaults;
  const std::int64_t length = options.max_length.value_or(defaults.max_length.value_or(INT64_MAX));
  if (texts.empty()) throw ArgumentError("[embed] there is no text");
  if (options.batch_size < 1 || length < 1) {
    throw ArgumentError(fmt::format("[embed] batch_size is {} and max_length {}; 1 is the least",
                                    options.batch_size, length));
  }
  if (length > parts_->most_tokens() && options.max_length) {
    throw ArgumentError(fmt::format("[embed] max_length is {}, and the model has {} positions",
                                    length, parts_->most_tokens()));
  }
  const Pooling pooling = options.pooling.value_or(defaults.pooling.value());
  const bool is_normalized = options.normalize.value_or(defaults.normalize.value());

  const auto go_on = [&](std::size_t done, std::size_t total) {
    if (progress && !progress(done, total)) throw ArgumentError("[embed] it was interrupted");
  };
  std::vector<Ids> ids;
  ids.reserve(texts.size());
  for (const std::string& text : texts) {
    // Tokens of very many texts take their time, too.
    constexpr std::size_t kMany = 1024;
    if (!ids.empty() && ids.size() % kMany == 0) go_on(0, texts.size());
    ids.push_back(tokens(text, length));
  }
  // The longest first, and what has no token last.
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{},
                           [&](std::size_t text) { return ids[text].size(); });
  const auto count = texts.size() - static_cast<std::size_t>(std::ranges::count_if(
                                        ids, [](const Ids& text) { return text.empty(); }));
  const auto vectors_of = [&](const Batch& batch) {
    const Tensor rows =
        std::visit([&](const auto& model) { return rows_of(model, batch); }, parts_->model);
    return pooled(rows, batch.weights, is_normalized);
  };

  std::vector<Tensor> vectors;
  for (std::size_t at = 0; at < count;) {
    const std::size_t some = count_alike(ids, std::span(order).subspan(at), options.batch_size);
    const Tensor own = vectors_of(batch_of(ids, std::span(order).subspan(at, some), pooling));
    eval(own);
    if (any(is_nan(own)).item<bool>()) refuse_nan("embed", "for a text", own.dtype());
    vectors.push_back(own);
    at += some;
    go_on(at, count);
  }
  if (count < texts.size()) {
    const std::size_t first = 0;
    const Tensor any = vectors_of(batch_of({{0}}, {&first, 1}, pooling));  // never computed
    vectors.push_back(broadcast(
        Tensor(0.0F), {std::ssize(texts) - static_cast<std::int64_t>(count), any.shape()[1]}));
  }
  std::vector<std::int32_t> places(texts.size());
  for (std::size_t at = 0; at < order.size(); ++at)
    places[order[at]] = static_cast<std::int32_t>(at);
  const Tensor all = concatenate(vectors, {.axis = 0});
  return take(all, Tensor::from_span(std::span<const std::int32_t>(places), {std::ssize(places)}),
              {.axis = 0});
}

}  // namespace mlxnx::llm
