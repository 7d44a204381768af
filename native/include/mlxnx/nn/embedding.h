// A table of vectors.
#pragma once

#include <cstdint>
#include <utility>

#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/weight.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct EmbeddingOptions {
  std::int64_t num_embeddings = kRequired;
  std::int64_t dims = kRequired;
  MLXNX_MEMBERS(num_embeddings, dims)
};

/// The rows of a table at given places. The table is drawn from a normal distribution with the
/// deviation 1 / sqrt(dims). mlx: nn.Embedding
///
///     nn::Embedding layer({.num_embeddings = 1000, .dims = 64}, key);
///     layer(tensor({{3, 17}}));  // f32[1][2][64]
struct Embedding {
  using Options = EmbeddingOptions;
  Tensor weight;  ///< `[num_embeddings, dims]`, or what `form` makes of it
  WeightForm form;
  MLXNX_MEMBERS(weight, form)

  Embedding(const EmbeddingOptions& options, const Tensor& key);
  /// The layer of a table that is there already.
  explicit Embedding(Tensor weight, WeightForm form = {})
      : weight(std::move(weight)), form(std::move(form)) {}
  /// Negative places count from the last. Throws: TypeError when `x` holds no integers; ValueError
  /// for a place outside of the table where it is known, elsewhere it is the nearest one.
  Tensor operator()(const Tensor& x) const;
  /// `x` times the transposed table, for models whose first and last layer share it.
  /// Throws: ShapeError when the last axis of `x` has not `dims` elements.
  Tensor as_linear(const Tensor& x) const;
};

}  // namespace mlxnx::nn
