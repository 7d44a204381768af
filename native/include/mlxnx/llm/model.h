// Language models in the folders and files that they are published in.
//
//     llm::Model model = llm::Model::load("Llama-3.2-1B-Instruct-4bit");
//     llm::Cache cache = model.make_cache();
//     Tensor logits = model.forward(tensor({{1, 15043}}), cache);  // [1][2][vocabulary]
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/checkpoint.h"
#include "mlxnx/config.h"
#include "mlxnx/llm/cache.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/tensor.h"

namespace mlxnx::llm {

class Module;

/// Options of `Model::load`.
struct LoadOptions {
  /// A folder with mlx-lm's `adapter_config.json` and `adapters.safetensors`.
  std::optional<std::filesystem::path> adapter = std::nullopt;
  /// See `Checkpoint::Options`.
  bool requantize = false;
};

/// A language model: settings and weights. It has no state, copies share the weights, and any
/// thread may call it.
class Model {
 public:
  /// The model of a folder or a .gguf file, dense, quantized or a mixture.
  /// Throws: UnsupportedError for a `model_type` that is not known, with the nearest that are, and
  /// for what a family has not; FormatError and ArgumentError for settings and weights that
  /// contradict each other, and what `Checkpoint` throws. mlx-lm: load_model
  static Model load(const std::filesystem::path& path, const LoadOptions& options = {});
  static Model load(const Checkpoint& checkpoint, const LoadOptions& options = {});

  /// A model by its settings alone, whose weights are drawn by `key` (u32[2]); of the type that
  /// `dtype` or `torch_dtype` names, f32 otherwise, and quantized as `quantization` says of all.
  ///
  ///     Model::random(Config::parse(R"({"model_type": "llama", …})"), random::key(7));
  static Model random(const Config& config, const Tensor& key);

  const Config& config() const;
  /// The name of its family: "llama" for a `model_type` "mistral".
  std::string_view family() const;

  /// Memory for a batch of texts, empty.
  Cache make_cache(const CacheOptions& options = {}) const;

  /// The logits after each of these tokens, which follow those that the cache holds; the cache then
  /// holds them too. Should this throw, the cache is of no use any more.
  /// Shapes: `tokens` `[batch, length]`, integers; result `[batch, length, vocabulary]`. Types: the
  /// model's float. Throws: ShapeError, TypeError; ValueError for a token that is not in the
  /// vocabulary.
  Tensor forward(const Tensor& tokens, Cache& cache) const;

  /// The same before the head: what the last norm answers, `[batch, length, size]`.
  Tensor hidden(const Tensor& tokens, Cache& cache) const;

  /// Whether they are copies of one model.
  friend bool operator==(const Model& a, const Model& b) { return a.module_ == b.module_; }

  /// The weights by mlx-lm's names.
  nn::NamedTensors named_tensors() const;
  /// With changes of low rank made part of the matrices that they are beside; quantized ones are
  /// quantized again, or stay dense. mlx-lm: fuse
  Model fuse(bool dequantize = false) const;

 private:
  Model(std::shared_ptr<const Module> module, Config config, std::string_view family);

  std::shared_ptr<const Module> module_;
  Config config_;
  std::string_view family_;
  std::size_t layers_ = 0;  ///< of caches
};

/// What `Model::load` knows: a family of models, and how it was checked.
struct FamilyInfo {
  enum class Checked : std::uint8_t {
    kRecorded,  ///< against recorded answers of mlx-lm, in all ways of running it
    kDrawn,     ///< against mlx-lm once, with random weights
  };
  std::string_view name;                      ///< its `model_type`
  std::string_view title;                     ///< "Qwen3"
  std::vector<std::string_view> other_names;  ///< other types that are the same
  Checked checked = Checked::kDrawn;
  /// What mlx-lm, and so this, does otherwise than settings or the family's definition say.
  std::string_view note;
};

/// In the order of their names.
const std::vector<FamilyInfo>& families();

}  // namespace mlxnx::llm
