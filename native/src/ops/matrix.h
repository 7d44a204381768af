// Pieces of matrix algebra over the last two axes that several linear algebra ops share.
#pragma once

#include <cstdint>

#include "mlxc/graph.h"

namespace mlxnx::ops {

/// Size of axis `axis`; negative axes count from the last.
int axis_size(const mlxc::Array& a, int axis);

/// The last two axes swapped; a view.
mlxc::Array transpose_matrix(const mlxc::Array& a);

/// Columns `[from, to)` of the last axis; a view.
mlxc::Array columns(const mlxc::Array& a, int from, int to);

/// Rows `[from, to)` of the last axis but one; a view.
mlxc::Array rows(const mlxc::Array& a, int from, int to);

/// Column `index` as `[…, M, 1]`.
inline mlxc::Array column(const mlxc::Array& a, int index) { return columns(a, index, index + 1); }

/// Row `index` as `[…, 1, N]`.
inline mlxc::Array row(const mlxc::Array& a, int index) { return rows(a, index, index + 1); }

/// The diagonal of `[…, N, N]` as `[…, N]`.
mlxc::Array diagonal(const mlxc::Array& a);

/// `a` with a new axis of size 1 at `axis`, negative from the last of the result.
mlxc::Array new_axis(const mlxc::Array& a, int axis);

/// 0, 1, …, size - 1 as s32.
mlxc::Array iota(int size);

/// Reduces the last `count` axes with `all`.
mlxc::Array all_of_last(const mlxc::Array& a, int count, bool keep_axes);

/// The inverse of row indices: where in `permutation`, `[…, N]`, each row stands.
mlxc::Array inverse_permutation(const mlxc::Array& permutation);

/// Row `indices[i]` of `a` at row `i`; `a` is `[…, N, K]`, `indices` `[…, N]`.
mlxc::Array take_rows(const mlxc::Array& a, const mlxc::Array& indices);

}  // namespace mlxnx::ops
