// Models written anew: in another type, quantized or dequantized, in another format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/checkpoint.h"
#include "mlxnx/config.h"
#include "mlxnx/error.h"
#include "mlxnx/quantize.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// A tensor that is to be written: known before it is made, so that few are in memory at a time.
struct PlannedTensor {
  std::string name;
  TensorType type;
  std::function<Tensor()> make;
};

struct WriteOptions {
  /// Of elements in a file, unless a single tensor takes more. mlx-lm: 5 GiB
  std::uint64_t most_shard_bytes = std::uint64_t{5} << 30;
  /// In bytes of elements; false ends the writing with InterruptedError.
  Progress progress = {};
};

/// Writes tensors as a model folder has them: `model.safetensors`, or shards
/// `model-00001-of-00002.safetensors`, with `model.safetensors.index.json` in any case. Files take
/// their places when all are whole; those of another number of shards are taken away.
/// `total_parameters` is what the index says of the model.
/// Throws: ArgumentError when something can't be written or is no such tensor as was planned.
/// mlx-lm: save_model
void write_weights(const std::filesystem::path& folder, const std::vector<PlannedTensor>& tensors,
                   std::uint64_t total_parameters, const WriteOptions& options = {});

struct ConvertOptions {
  /// Of what is not quantized; by default what the settings say (`torch_dtype`), else as it is.
  std::optional<DType> dtype = std::nullopt;
  /// Quantizes the matrices whose rows are multiples of the group size, but for routers that mlx-lm
  /// leaves dense; some layers of some families get 8 bits, as there.
  std::optional<Quantization> quantize = std::nullopt;
  /// Which bits a layer gets: "mixed_2_6", "mixed_3_4", "mixed_3_6" or "mixed_4_6", as mlx-lm's;
  /// with `quantize` of affine mode only.
  std::optional<std::string> recipe = std::nullopt;
  bool dequantize = false;
  WriteOptions write = {};
};

/// What `convert` has written.
struct Converted {
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  /// Whether the folder has the tokenizer that the model had: that of a GGUF file is written as
  /// `tokenizer.json` and `tokenizer_config.json` by builds that have tokenizers (`has_text`).
  bool has_tokenizer = true;
  double bits_per_weight() const;
};

/// Writes a model as a folder of mlx-lm's layout: weights, `config.json`, and the files of the
/// tokenizer and of generation beside them. The folder must not exist; it appears when all is done.
/// A head that is the embedding is left out. Throws: ArgumentError where it exists or options
/// contradict each other, UnsupportedError for families whose matrices mlx-lm changes before it
/// quantizes them, FormatError for tensors that don't fit each other, InterruptedError.
/// mlx-lm: convert
///
///     convert(Checkpoint("llama"), "llama-4bit", {.quantize = Quantization{.bits = 4}});
Converted convert(const Checkpoint& from, const std::filesystem::path& to,
                  const ConvertOptions& options = {});

struct GgufOptions {
  /// What matrices become: "keep" leaves them as they are, quantized in the blocks that say just
  /// the same where there are such, else "f16", as "f32", "f16", "bf16", "q8_0", "q4_0" and "q4_1"
  /// make them.
  std::string type = "keep";
  Progress progress = {};
};

/// Writes a model as a GGUF file, with the settings and the tokenizer that llama.cpp needs. What is
/// no matrix stays or becomes f32. Tokenizers are byte-level BPE of a `tokenizer.json`, or those of
/// a GGUF file. Throws: UnsupportedError for model types, tokenizers and settings that have no form
/// there, ArgumentError where the file exists or can't be written, InterruptedError.
/// mlx-lm: fuse --export-gguf
///
///     convert_to_gguf(Checkpoint("llama"), "llama.gguf", {.type = "q8_0"});
void convert_to_gguf(const Checkpoint& from, const std::filesystem::path& to,
                     const GgufOptions& options = {});

}  // namespace mlxnx
