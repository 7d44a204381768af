// Models small enough to run in a moment, with weights of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mlxnx/llm/model.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"

namespace mlxnx::testing_support {

/// A llama of two layers and 300 words; `more` is JSON that is put into its settings.
inline Config llama_config(const std::string& more = "") {
  return Config::parse(R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "eos_token_id": 262)" +
                       (more.empty() ? "" : ", " + more) + "}");
}

inline llm::Model tiny_llama(const std::string& more = "", std::uint64_t seed = 7) {
  return llm::Model::random(llama_config(more), random::key(seed));
}

using Ids = std::vector<std::uint32_t>;

inline Tensor tokens_of(const std::vector<Ids>& rows) {
  std::vector<Tensor> tensors;
  for (const Ids& row : rows)
    tensors.push_back(Tensor::from_span(std::span<const std::uint32_t>(row), {std::ssize(row)}));
  return stack(tensors);
}

/// The logits `[length, vocabulary]` of one text.
inline Tensor logits_of(const llm::Model& model, const Ids& ids, llm::Cache& cache) {
  return squeeze(model.forward(tokens_of({ids}), cache), {.axes = Axes{0}});
}
inline Tensor logits_of(const llm::Model& model, const Ids& ids) {
  llm::Cache cache = model.make_cache();
  return logits_of(model, ids, cache);
}

/// The largest difference of two tensors of floats.
inline double distance(const Tensor& a, const Tensor& b) {
  return reduce_max(abs(a - b)).item<double>();
}

}  // namespace mlxnx::testing_support
