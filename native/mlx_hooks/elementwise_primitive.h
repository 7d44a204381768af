// What a node of MLX's graph with kernels for single elements knows.
#pragma once

#include <memory>
#include <vector>

#include "kernels/elementwise.h"
#include "mlx/primitives.h"

namespace mlx_hooks {

/// Runs a plan over its inputs, broadcast to the shape of its outputs, which they alone may not
/// tell.
class ElementwisePrimitive : public mlx::core::Primitive {
 public:
  ElementwisePrimitive(mlx::core::Stream stream,
                       std::shared_ptr<const mlxnx::kernels::TilePlan> plan, mlx::core::Shape shape)
      : mlx::core::Primitive(stream), plan_(std::move(plan)), shape_(std::move(shape)) {}

  void eval_cpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  void eval_gpu(const std::vector<mlx::core::array>&, std::vector<mlx::core::array>&) override;
  const char* name() const override { return "Elementwise"; }
  bool is_equivalent(const mlx::core::Primitive& other) const override;

  const mlxnx::kernels::Program& program() const { return plan_->program(); }
  const std::shared_ptr<const mlxnx::kernels::TilePlan>& plan() const { return plan_; }

 private:
  std::shared_ptr<const mlxnx::kernels::TilePlan> plan_;
  mlx::core::Shape shape_;
};

}  // namespace mlx_hooks
