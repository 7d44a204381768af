// Evaluation of graphs. Call these from an engine's job only (engine.h says why).
#pragma once

#include "mlx/c/stream.h"
#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// Computes `arrays` and returns when they are ready. Throws: BackendError.
void eval(const ArrayVector& arrays);

/// Starts computing `arrays`. Throws: BackendError.
void async_eval(const ArrayVector& arrays);

/// Returns when everything started on `stream` is done. Throws: BackendError.
void synchronize(mlx_stream stream);

}  // namespace mlxnx::mlxc
