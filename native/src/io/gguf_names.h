// What GGUF files of an architecture call their tensors and settings, in Hugging Face's names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace mlxnx::io {

struct GgufName {
  std::string_view gguf, own;
};

/// An architecture: `general.architecture`, and what differs from what most have.
struct GgufArchitecture {
  std::string_view name;
  std::string_view model_type;
  /// Of parts of layers, in front of those that all have.
  std::span<const GgufName> parts;
  /// Rows of q_proj and k_proj stand in another order: halves of heads are interleaved.
  bool are_heads_interleaved = false;
  /// Weights of norms are one more.
  bool are_norms_shifted = false;
  /// A tensor may divide the frequencies of rotary positions.
  bool has_frequencies = false;
};

/// Null where it is not known.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
/// The same by the model type of `config.json`.
const GgufArchitecture* find_gguf_architecture_of(std::string_view model_type);
/// Those that are known, for errors.
std::string known_gguf_architectures();

/// "blk.3.attn_q.weight" as "model.layers.3.self_attn.q_proj.weight"; nothing for a name that the
/// architecture does not have.
std::optional<std::string> own_name(const GgufArchitecture& architecture, std::string_view gguf);
/// The inverse. Throws nothing either: nothing for other names.
std::optional<std::string> gguf_name(const GgufArchitecture& architecture, std::string_view own);

/// Settings whose GGUF keys stand behind "{architecture}.", with their names in `config.json`.
std::span<const GgufName> gguf_integers();
std::span<const GgufName> gguf_numbers();
/// Those of yarn, in `rope_scaling`.
std::span<const GgufName> gguf_yarn_numbers();

/// Scores are divided by the root of what `query_pre_attn_scalar` says: what it is to the readers
/// of files of an architecture, which has no key for it; nothing where there is no such setting.
std::optional<double> gguf_score_scale(const GgufArchitecture& architecture, std::int64_t layers,
                                       std::int64_t hidden_size, std::int64_t heads,
                                       std::int64_t head_dim);

}  // namespace mlxnx::io
