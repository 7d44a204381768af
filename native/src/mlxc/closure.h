// Functions from arrays to arrays as MLX knows them. A compiled closure keeps the graph that its
// function builds and only replays it; MLX keeps these graphs in a cache per thread, for each
// combination of input types and shapes. Call closures from an engine's job only (engine.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "mlx/c/closure.h"
#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// Builds outputs from inputs; called while MLX traces, with placeholders that have no elements.
using ArrayFunction = std::function<std::vector<Array>(std::span<const Array> inputs)>;

/// How much MLX does with a graph that it replays.
enum class CompileMode {
  kReplay,  ///< common subexpressions are merged; every op stays a kernel of its own
  kFuse,    ///< and elementwise ops are fused into kernels that are compiled when first evaluated
};

/// A function whose graphs MLX compiles once and then replays.
class CompiledClosure {
 public:
  /// Throws: BackendError.
  CompiledClosure(ArrayFunction function, CompileMode mode);
  ~CompiledClosure();
  CompiledClosure(const CompiledClosure&) = delete;
  CompiledClosure& operator=(const CompiledClosure&) = delete;

  /// Throws: what the function throws, BackendError.
  std::vector<Array> operator()(std::span<const Array> inputs) const;

 private:
  struct Life;
  mlx_closure raw_{nullptr};
  CompileMode mode_;
  std::shared_ptr<Life> life_;
};

/// Makes MLX set up its tracer. That is one vector for all threads (0.31), which building threads
/// look at without a lock: it must not have to grow while they do.
void prepare_tracing();

/// Whether the user forbade compilation through MLX's own variable, MLX_DISABLE_COMPILE.
bool is_compilation_disabled();

}  // namespace mlxnx::mlxc
