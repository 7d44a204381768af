// How well a model foretells a text.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mlxnx/checkpoint.h"
#include "mlxnx/llm/model.h"

namespace mlxnx::llm {

struct Perplexity {
  double perplexity = 0;      ///< the exponential of the mean loss of a token
  double standard_error = 0;  ///< of that
  std::vector<float> losses;  ///< of each token that was foretold, text by text
};

/// Texts of tokens, all of one length, `batch_size` at a time. The loss of a token is the cross
/// entropy of what comes after those before it.
/// Throws: ArgumentError for no texts, and texts of less than two tokens or of several lengths.
/// mlx-lm: perplexity.eval_ppl
///
///     perplexity(model, {{1, 15, 7, 300}, {1, 8, 9, 10}});
Perplexity perplexity(const Model& model, const std::vector<std::vector<std::uint32_t>>& texts,
                      std::int64_t batch_size = 8, const Progress& progress = {});

/// A long text in pieces of `length`; what is left over at its end is left out.
std::vector<std::vector<std::uint32_t>> in_pieces(const std::vector<std::uint32_t>& tokens,
                                                  std::size_t length);

}  // namespace mlxnx::llm
