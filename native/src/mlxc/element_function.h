// Functions of single elements as one node of MLX's graph.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "mlxc/array.h"
#include "mlxc/closure.h"

namespace mlxnx::mlxc {

/// What one node computes, to be done again with other inputs. Implemented in mlx_hooks.
class NodeKind {
 public:
  /// Of the node that made `array` of `inputs`, which is to be one of MLX's compiled kernels.
  /// Returns: nothing where it isn't, or where other nodes lie between them.
  static std::optional<NodeKind> of(const Array& array, std::span<const Array> inputs);
  /// A new node, of the shape of the first input; each is of the type that it was before.
  Array operator()(std::span<const Array> inputs) const;

 private:
  struct Life;
  std::shared_ptr<const Life> life_;
};

/// A function that MLX fuses into one kernel, once for each combination of types; from then on a
/// call makes one node and traces nothing.
class ElementFunction {
 public:
  /// `function` answers one array, and each of its elements needs the inputs' at the same place
  /// only.
  explicit ElementFunction(ArrayFunction function)
      : closure_(std::move(function), CompileMode::kFuse) {}

  /// `inputs` are of one shape, which has axes. Call from an engine's job only.
  /// Throws: what the function throws, BackendError.
  Array operator()(std::span<const Array> inputs);

 private:
  CompiledClosure closure_;
  std::mutex mutex_;
  /// By the stream and the inputs' types; nothing where MLX makes more than one node of it.
  std::map<std::vector<int>, std::optional<NodeKind>> kinds_;
};

}  // namespace mlxnx::mlxc
