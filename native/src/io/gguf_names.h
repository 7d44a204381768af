// What GGUF files of an architecture call their tensors and settings, in Hugging Face's names.
#pragma once

#include <cstddef>
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

}  // namespace mlxnx::io
