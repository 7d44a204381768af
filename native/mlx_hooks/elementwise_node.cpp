// Nodes of MLX's graph that run programs of functions of single elements.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include "elementwise_primitive.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlxc/check.h"
#include "mlxc/elementwise.h"
#include "mlxc/graph.h"
#include "mlxc/memory.h"
#include "node_of.h"
#include "types.h"

namespace core = mlx::core;

using mlxnx::kernels::ProgramInput;
using mlxnx::kernels::TilePlan;

namespace {

using Steps = std::vector<std::int64_t>;

// Steps of `in` along the axes of `shape`.
Steps broadcast_steps(const core::array& in, const core::Shape& shape) {
  Steps steps(shape.size(), 0);
  const std::size_t missing = shape.size() - in.ndim();
  for (std::size_t i = 0; i < in.ndim(); ++i) {
    const int axis = static_cast<int>(i);
    if (in.shape(axis) != 1) steps[missing + i] = in.strides(axis);
  }
  return steps;
}

// Whether the elements lie without gaps, in whatever order of axes.
bool is_dense(const core::array& in) {
  return in.flags().contiguous && in.data_size() == in.size();
}

// An input of the full shape whose order the results can take, since all others are single numbers
// or lie alike.
const core::array* common_order(const std::vector<core::array>& inputs, const core::array& out) {
  const core::array* first = nullptr;
  for (const core::array& in : inputs) {
    if (in.size() == 1) continue;
    if (in.shape() != out.shape() || !is_dense(in)) return nullptr;
    if (first != nullptr && in.strides() != first->strides()) return nullptr;
    first = &in;
  }
  return first;
}

// Memory for result `r`: that of an input that nobody else reads, nor a later step, or new one.
// Results that are made first come first, and have fewer to choose from.
void allocate(const TilePlan& plan, std::size_t r, const std::vector<core::array>& inputs,
              const core::array* order, core::array& out) {
  const auto can_be_written_over = [&](std::size_t i) {
    const core::array& in = inputs[i];
    return plan.may_be_over(r, i) && in.is_donatable() && in.itemsize() == out.itemsize() &&
           in.shape() == out.shape() && is_dense(in) &&
           (order != nullptr || in.flags().row_contiguous);
  };
  const auto numbers = std::views::iota(std::size_t{0}, inputs.size());
  const auto old = std::ranges::find_if(numbers, can_be_written_over);
  if (old != numbers.end()) {
    out.copy_shared_buffer(inputs[*old]);
  } else if (order != nullptr) {
    out.set_data(core::allocator::malloc(out.nbytes()), order->data_size(), order->strides(),
                 order->flags());
  } else {
    out.set_data(core::allocator::malloc(out.nbytes()));
  }
}

// The memory of a run, which holds when the arrays are gone.
struct Run {
  std::shared_ptr<const TilePlan> plan;
  std::vector<std::int64_t> shape;
  std::vector<Steps> steps;
  std::vector<const void*> data;
  std::vector<void*> results;

  void operator()() const {
    std::vector<ProgramInput> inputs;
    for (std::size_t i = 0; i < data.size(); ++i) inputs.push_back({data[i], steps[i]});
    mlxnx::mlxc::run_shared(*plan, shape, inputs, results);
  }
};

}  // namespace

namespace mlx_hooks {

void ElementwisePrimitive::eval_cpu(const std::vector<core::array>& inputs,
                                    std::vector<core::array>& outputs) {
  const core::Shape& shape = outputs[0].shape();
  const core::array* const order = common_order(inputs, outputs[0]);
  const bool is_flat = order != nullptr || outputs[0].size() == 1;
  // The other outputs hold the inputs as well, so that none could be written over.
  const auto others = [&](auto change) {
    for (core::array& out : outputs) {
      if (&out.inputs() != &inputs) change(out.inputs());
    }
  };
  others([](std::vector<core::array>& held) { held.clear(); });
  try {
    for (std::size_t r = 0; r < outputs.size(); ++r) allocate(*plan_, r, inputs, order, outputs[r]);
  } catch (...) {
    others([&](std::vector<core::array>& held) { held = inputs; });
    throw;
  }
  Run run{plan_, {}, {}, {}, {}};
  if (is_flat) {
    run.shape = {static_cast<std::int64_t>(outputs[0].size())};
  } else {
    run.shape.assign(shape.begin(), shape.end());
  }
  auto& encoder = core::cpu::get_command_encoder(stream());
  for (const core::array& in : inputs) {
    encoder.set_input_array(in);
    run.data.push_back(in.data<char>());
    run.steps.push_back(is_flat ? Steps{in.size() == 1 ? 0 : 1} : broadcast_steps(in, shape));
  }
  for (core::array& out : outputs) {
    encoder.set_output_array(out);
    run.results.push_back(out.data<char>());
  }
  encoder.dispatch(std::move(run));
}

void ElementwisePrimitive::eval_gpu(const std::vector<core::array>&, std::vector<core::array>&) {
  throw std::runtime_error("our kernels run on the CPU");
}

bool ElementwisePrimitive::is_equivalent(const core::Primitive& other) const {
  const auto& same = static_cast<const ElementwisePrimitive&>(other);
  return shape_ == same.shape_ && (plan_ == same.plan_ || program() == same.program());
}

}  // namespace mlx_hooks

namespace mlxnx::mlxc {

Array elementwise_node(std::shared_ptr<const TilePlan> plan, std::span<const Array* const> operands,
                       std::span<const int> shape) {
  std::vector<core::array> inputs;
  inputs.reserve(operands.size());
  for (const Array* const operand : operands) inputs.push_back(node_of(*operand));
  const auto stream = *static_cast<const core::Stream*>(current_stream().ctx);
  const kernels::Program& program = plan->program();
  const core::Dtype dtype = mlx_hooks::core_type(to_mlx(program.type_of(program.results[0])));
  ++thread_state.nodes;
  const core::Shape out(shape.begin(), shape.end());
  auto node = std::make_unique<core::array>(
      out, dtype, std::make_shared<mlx_hooks::ElementwisePrimitive>(stream, std::move(plan), out),
      std::move(inputs));
  Array result = Array::adopt({node.release()});
  check_fits(result);
  return result;
}

}  // namespace mlxnx::mlxc
