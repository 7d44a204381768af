#include "mlxnx/llm/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/configured_type.h"
#include "io/quantization_settings.h"
#include "llm/encoder.h"
#include "llm/module.h"
#include "llm/sanitize.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/weights.h"
#include "tensor/on_engine.h"

namespace mlxnx::llm {
namespace {

const Family& family_in(const Config& config) {
  const std::string type = model_type(config);
  if (find_encoder(type) != nullptr) {
    throw UnsupportedError(
        fmt::format("[load] {:?} is an encoder, which answers vectors rather than text: load it "
                    "by EmbeddingModel, or `mlxnx embed`",
                    type));
  }
  return family_of(type);
}

void quantize(Module& module, const Quantization& form) {
  const std::int64_t group = form.group_size.value_or(64);
  module.visit_matrices([&](const std::string& name, Tensor& weight, nn::WeightForm& own) {
    if (weight.shape().back() % group == 0) nn::weights::quantize(weight, own, form, name);
  });
}

}  // namespace

Model::Model(std::shared_ptr<const Module> module, Config config, std::string_view family)
    : module_(std::move(module)), config_(std::move(config)), family_(family) {
  layers_ = module_->make_cache().size();
  // Weights that are known to be there are multiplied with at once.
  std::vector<Tensor> weights;
  for (auto& [name, tensor] : named_tensors()) weights.push_back(std::move(tensor));
  eval(weights);
}

Model Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  return load(Checkpoint(path, {.requantize = options.requantize}), options);
}

Model Model::load(const Checkpoint& checkpoint, const LoadOptions& options) {
  const Family& family = family_in(checkpoint.config());
  nn::Parameters weights = checkpoint.read();
  const Config config = family.complete == nullptr ? checkpoint.config()
                                                   : family.complete(checkpoint.config(), weights);
  Maker maker;
  std::unique_ptr<Module> module = family.make(config, maker);
  if (family.sanitize != nullptr) family.sanitize(weights, config);
  nn::weights::load(*module, weights, config, true);
  if (options.adapter) nn::weights::load(*module, Adapter::read(*options.adapter));
  weights.clear();  // what they were made of may go as they are evaluated
  return {std::move(module), checkpoint.config(), family.name};
}

Model Model::random(const Config& config, const Tensor& key) {
  const Family& family = family_in(config);
  Maker maker(key);
  std::unique_ptr<Module> module = family.make(config, maker);
  const DType type = io::configured_type(config).value_or(DType::f32);
  module->visit_tensors([&](const std::string&, Tensor& tensor) {
    if (is_float(tensor.dtype())) tensor = as_type(tensor, type);
  });
  if (config.holds_object("quantization"))
    quantize(*module, io::form_of(config.get<Config>("quantization")));
  return {std::move(module), config, family.name};
}

const Config& Model::config() const { return config_; }
std::string_view Model::family() const { return family_; }

Cache Model::make_cache(const CacheOptions& options) const {
  std::vector<LayerCache> layers = module_->make_cache();
  if (options.max_kv_size) {
    constexpr std::int64_t kKept = 4;
    if (*options.max_kv_size <= kKept) {
      throw ArgumentError(fmt::format("[make_cache] max_kv_size is {}, and {} tokens are kept",
                                      *options.max_kv_size, kKept));
    }
    for (LayerCache& layer : layers) {
      auto* rows = std::get_if<KeyValues>(&layer);
      if (rows != nullptr && rows->window == 0)
        *rows = {.window = *options.max_kv_size, .keep = kKept};
    }
  }
  const bool is_padded = std::ranges::any_of(options.left_padding, [](auto n) { return n != 0; });
  return Cache(std::move(layers), is_padded ? options.left_padding : std::vector<std::int64_t>{});
}

namespace {

void check_pass(const Tensor& tokens, const Cache& cache, std::size_t layers) {
  if (tokens.rank() != 2 || tokens.size() == 0) {
    throw ShapeError(fmt::format("[forward] tokens are {}, and [batch][length] is wanted",
                                 to_string(tokens.type())));
  }
  const std::int64_t batch = tokens.shape()[0];
  if (!cache.left_padding.empty() && cache.left_padding.size() != static_cast<std::size_t>(batch)) {
    throw ShapeError(fmt::format("[forward] {} texts, and the cache is of {}", batch,
                                 cache.left_padding.size()));
  }
  if (cache.layers.size() != layers) {
    throw ArgumentError(fmt::format("[forward] the cache is of {} layers, and the model has {}",
                                    cache.layers.size(), layers));
  }
}

// The thread that evaluates graphs of a GPU builds them, too: where two hand nodes over while one
// evaluates what the other built before, both wait for each other's memory.
template <typename Build>
Tensor built(const Build& build) {
  if (default_device() != Device::kGpu) return build();
  Tensor result;
  tensors::run_on_engine([&] { result = build(); });
  return result;
}
}  // namespace

Tensor Model::hidden(const Tensor& tokens, Cache& cache) const {
  check_pass(tokens, cache, layers_);
  return built([&] {
    Step step(cache, tokens.shape()[0], tokens.shape()[1]);
    Tensor hidden = module_->hidden(tokens, step);
    step.finish();
    return hidden;
  });
}

Tensor Model::forward(const Tensor& tokens, Cache& cache) const {
  return built([&] { return module_->logits(hidden(tokens, cache)); });
}

nn::NamedTensors Model::named_tensors() const {
  nn::NamedTensors all;
  module_->clone()->visit_tensors(
      [&](const std::string& name, Tensor& tensor) { all.emplace_back(name, tensor); });
  return all;
}

Model Model::fuse(bool dequantize) const {
  std::unique_ptr<Module> module = module_->clone();
  module->visit_matrices([&](const std::string&, Tensor& weight, nn::WeightForm& form) {
    if (dequantize) nn::weights::dequantize(weight, form);
    nn::weights::fuse(weight, form);
  });
  return {std::move(module), config_, family_};
}

}  // namespace mlxnx::llm
