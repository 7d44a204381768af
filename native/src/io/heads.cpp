#include "io/heads.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::io {
namespace {

// Each head's rows, `outer` times `inner` of them, in the order of their transposed places.
Tensor turned(const Tensor& rows, std::int64_t heads, std::int64_t outer, std::int64_t inner) {
  Shape split = {heads, outer, inner};
  Axes order = {0, 2, 1};
  for (std::size_t i = 1; i < rows.rank(); ++i) {
    split.push_back(rows.shape()[i]);
    order.push_back(static_cast<std::int64_t>(i) + 2);
  }
  return reshape(transpose(reshape(rows, split), {.axes = order}), rows.shape());
}

}  // namespace

std::int64_t interleaved_heads(const GgufArchitecture& architecture, const Config& config,
                               std::string_view name, const Shape& shape) {
  const bool is_query = name.find("self_attn.q_proj.") != std::string_view::npos;
  const bool is_key = name.find("self_attn.k_proj.") != std::string_view::npos;
  if (!architecture.are_heads_interleaved || (!is_query && !is_key)) return 0;
  const bool has_own = is_key && config.contains("num_key_value_heads");
  const auto heads =
      config.get<std::int64_t>(has_own ? "num_key_value_heads" : "num_attention_heads");
  const std::int64_t rows = shape.empty() ? 1 : shape[0];
  if (heads < 1 || rows % 2 != 0 || rows / 2 % heads != 0)
    throw FormatError(fmt::format("tensor {:?} has {} rows for {} heads", name, rows, heads));
  return heads;
}

Tensor with_heads_apart(const Tensor& rows, std::int64_t heads) {
  return heads == 0 ? rows : turned(rows, heads, rows.shape()[0] / heads / 2, 2);
}

Tensor with_heads_interleaved(const Tensor& rows, std::int64_t heads) {
  return heads == 0 ? rows : turned(rows, heads, 2, rows.shape()[0] / heads / 2);
}

}  // namespace mlxnx::io
