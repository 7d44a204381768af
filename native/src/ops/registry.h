// All ops, by name. Assembled from the families' tables by an explicit list: a static library's
// linker would drop objects that register themselves.
#pragma once

#include <span>
#include <string_view>

#include "ops/op_def.h"

namespace mlxnx::ops {

/// The rows of one family, in its own file.
std::span<const OpDef> creation_ops();
std::span<const OpDef> unary_ops();
std::span<const OpDef> binary_ops();
std::span<const OpDef> shape_ops();
std::span<const OpDef> slicing_ops();
std::span<const OpDef> indexing_ops();
std::span<const OpDef> selection_ops();
std::span<const OpDef> reduction_ops();
std::span<const OpDef> cumulative_ops();
std::span<const OpDef> window_ops();
std::span<const OpDef> window_scatter_ops();
std::span<const OpDef> dot_ops();
std::span<const OpDef> conv_ops();
std::span<const OpDef> quantization_ops();
std::span<const OpDef> sort_ops();
std::span<const OpDef> fft_ops();
std::span<const OpDef> linalg_ops();
std::span<const OpDef> random_ops();
std::span<const OpDef> fast_ops();

/// Every op, in the order of the families.
std::span<const OpDef* const> all_ops();

/// The op called `name`, or null.
const OpDef* find_op(std::string_view name);

/// The op called `name`.
/// Throws: UnsupportedError when there is none.
const OpDef& op(std::string_view name);

}  // namespace mlxnx::ops
