// A model on disk: its settings and its weights, whatever files they come in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/config.h"
#include "mlxnx/quantize.h"
#include "mlxnx/tensor.h"
#include "mlxnx/text.h"

namespace mlxnx {

/// A tensor of a checkpoint.
struct CheckpointTensor {
  std::string name;
  TensorType type;          ///< of what reading answers
  std::string stored;       ///< how the file holds it: "bf16", "Q4_K", "awq"
  std::uint64_t bytes = 0;  ///< that it takes in the file
};

/// How far a long task is; answers whether to go on.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

/// The weights and settings of a model: a folder in the layout of Hugging Face or of mlx-lm, a
/// .gguf file or a .safetensors file. Opening reads headers only; weights are read by their names
/// when they are asked for, and stay in the file's pages where that is how they lie. Copies share
/// the open files; any thread.
///
/// A quantized matrix of the layer `p` is `p.weight` (u32), `p.scales` and, for affine, `p.biases`,
/// as in mlx-lm's folders, whatever the file calls them:
///
/// | weights | become |
/// |---|---|
/// | mlx-lm's, any mode | as they are |
/// | AWQ and GPTQ, 4 bits, groups in order | affine, the same numbers |
/// | compressed-tensors: pack-, nvfp4- and mxfp4-pack-quantized | affine, nvfp4, mxfp4 |
/// | FP8 with scales of blocks, rows or tensors | bf16 |
/// | GGUF Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K MXFP4 NVFP4 | affine in groups of 32, mxfp4, nvfp4:
/// the same numbers | | GGUF's other blocks | f32, or affine of 8 bits with `requantize` |
///
///     Checkpoint checkpoint("SmolLM2-135M-Instruct");
///     checkpoint.config().get<std::int64_t>("hidden_size");       // 576
///     checkpoint.read("model.embed_tokens.weight");               // bf16[49152][576]
class Checkpoint {
 public:
  struct Options {
    /// Packs GGUF's blocks that MLX has no form for into 8 bits in groups of 32, which is not
    /// exact, in place of f32, which takes four bytes each.
    bool requantize = false;
  };

  /// Throws: ArgumentError where nothing can be read, FormatError where what is there contradicts
  /// itself, UnsupportedError for weights in a form that is not known; each names the file.
  explicit Checkpoint(const std::filesystem::path& path) : Checkpoint(path, Options{}) {}
  Checkpoint(const std::filesystem::path& path, const Options& options);

  const std::filesystem::path& path() const;
  /// "folder", "gguf" or "safetensors".
  std::string_view format() const;
  /// `config.json`, with the settings of modelopt's `hf_quant_config.json` and `eos_token_id` of
  /// `generation_config.json` if that has one, and under `quantization` what mlx-lm would write
  /// there; of a GGUF file, the same keys from its metadata.
  const Config& config() const;
  /// Ordered by name.
  const std::vector<CheckpointTensor>& tensors() const;
  const CheckpointTensor* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// Throws: ArgumentError with the nearest name where there is none.
  Tensor read(std::string_view name) const;
  /// The tensors whose names are meant, all by default.
  std::map<std::string, Tensor> read(
      const std::function<bool(std::string_view name)>& which = {}) const;

  /// How the layer of that name is quantized: what the settings say of it, else, with the groups
  /// that they say of all, what the shapes of its tensors tell; nothing where it has no scales.
  /// Throws: FormatError where the settings contradict the shapes, or several answers fit.
  std::optional<Quantization> quantization(std::string_view layer) const;

  /// The matrix of a layer that is quantized, whole; nothing where it is dense. Throws: as
  /// `quantization` and `read`.
  ///
  ///     dequantize(checkpoint.read_quantized("lm_head").value());
  std::optional<Quantized> read_quantized(std::string_view layer) const;

  /// The chat template of `chat_template.jinja`, `tokenizer_config.json` or the GGUF metadata,
  /// which is read when it is asked for. Throws: FormatError for settings that are none.
  std::optional<std::string> chat_template() const;

  /// The tokenizer of `tokenizer.json`, `tokenizer.model`, a file of tiktoken's ranks or the GGUF
  /// metadata. Throws: ArgumentError where there is none, and what making a Tokenizer throws.
  Tokenizer tokenizer() const;

  struct Contents;
  const Contents& contents() const { return *contents_; }  ///< for the layers of this library

 private:
  std::shared_ptr<const Contents> contents_;
};

/// A change of a model's weights on disk, beside the model: mlx-lm's adapter folder.
struct Adapter {
  enum class Kind : std::uint8_t { kLora, kDora, kFull };
  Kind kind = Kind::kLora;
  Config config;     ///< `adapter_config.json`
  double scale = 1;  ///< of the change
  /// By mlx-lm's names: "model.layers.0.self_attn.q_proj.lora_a", or whole weights.
  std::map<std::string, Tensor> tensors;

  /// Throws: ArgumentError where nothing can be read, FormatError for anything but an adapter.
  static Adapter read(const std::filesystem::path& folder);
};

}  // namespace mlxnx
