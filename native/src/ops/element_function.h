// Functions of single elements that are one kernel on a GPU.
#pragma once

#include <functional>
#include <memory>

#include "mlxnx/tensor.h"

namespace mlxnx::mlxc {
class ElementFunction;
}

namespace mlxnx::ops {

/// A function of two tensors of which each element needs those at the same place only. Where a GPU
/// evaluates what this thread builds, a call is one node; else it is what the function does.
class ElementFunction {
 public:
  using Function = std::function<Tensor(const Tensor&, const Tensor&)>;

  explicit ElementFunction(Function function);
  ~ElementFunction();
  ElementFunction(const ElementFunction&) = delete;
  ElementFunction& operator=(const ElementFunction&) = delete;

  /// Throws: what the function throws.
  Tensor operator()(const Tensor& a, const Tensor& b) const;

 private:
  Function function_;
  std::unique_ptr<mlxc::ElementFunction> fused_;
};

}  // namespace mlxnx::ops
