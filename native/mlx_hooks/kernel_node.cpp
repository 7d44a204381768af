// Nodes of MLX's graph with our kernels.
#include "mlxc/kernel_node.h"

#include <array>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "mlxc/check.h"
#include "mlxc/graph.h"
#include "mlxc/memory.h"
#include "node_of.h"
#include "types.h"

namespace {

namespace core = mlx::core;

using mlxnx::mlxc::Array;
using mlxnx::mlxc::KernelMemory;
using mlxnx::mlxc::KernelTask;
using mlxnx::mlxc::node_of;

// An operand's memory, its shape with it: the array may be gone when the kernel begins.
struct Memory {
  void* data;
  mlx_dtype type;
  std::vector<int> shape;
  std::vector<std::int64_t> strides;

  explicit Memory(const core::array& array)
      : data(const_cast<char*>(array.data<char>())),
        type(mlx_hooks::c_type(array.dtype())),
        shape(array.shape().begin(), array.shape().end()) {
    if (!array.flags().row_contiguous)
      strides.assign(array.strides().begin(), array.strides().end());
  }
  operator KernelMemory() const { return {data, type, shape, strides}; }
};

void run_in_memory(const KernelTask& task, const std::vector<Memory>& operands,
                   const Memory& result) {
  const std::vector<KernelMemory> all(operands.begin(), operands.end());
  run(task, all, result);
}

class KernelPrimitive : public core::UnaryPrimitive {
 public:
  KernelPrimitive(core::Stream stream, KernelTask task, core::Shape shape, core::Dtype type)
      : core::UnaryPrimitive(stream),
        task_(std::move(task)),
        shape_(std::move(shape)),
        type_(type) {}

  void eval_cpu(const std::vector<core::array>& inputs, core::array& out) override {
    out.set_data(core::allocator::malloc(out.nbytes()));
    auto& encoder = core::cpu::get_command_encoder(stream());
    std::vector<Memory> operands;
    for (const core::array& in : inputs) {
      encoder.set_input_array(in);
      operands.emplace_back(in);
    }
    encoder.set_output_array(out);
    encoder.dispatch(run_in_memory, task_, std::move(operands), Memory(out));
  }
  void eval_gpu(const std::vector<core::array>&, core::array&) override {
    throw std::runtime_error("our kernels run on the CPU");
  }
  const char* name() const override { return "Kernel"; }
  bool is_equivalent(const core::Primitive& other) const override {
    const auto& same = static_cast<const KernelPrimitive&>(other);
    return task_ == same.task_ && shape_ == same.shape_ && type_ == same.type_;
  }

 private:
  KernelTask task_;
  // Of the result, which the operands alone may not tell.
  core::Shape shape_;
  core::Dtype type_;
};

}  // namespace

Array mlxnx::mlxc::kernel_node(const KernelTask& task, std::span<const Array* const> operands,
                               std::span<const int> shape, mlx_dtype type) {
  std::vector<core::array> inputs;
  for (const Array* const operand : operands)
    inputs.push_back(node_of(takes_strides(task) ? *operand : contiguous(*operand)));
  const auto stream = *static_cast<const core::Stream*>(current_stream().ctx);
  ++thread_state.nodes;
  const core::Shape dims(shape.begin(), shape.end());
  const core::Dtype dtype = mlx_hooks::core_type(type);
  auto node = std::make_unique<core::array>(
      dims, dtype, std::make_shared<KernelPrimitive>(stream, task, dims, dtype), std::move(inputs));
  Array result = Array::adopt({node.release()});
  check_fits(result);
  return result;
}
