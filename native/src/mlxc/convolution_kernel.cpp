#include "mlxc/convolution_kernel.h"

#include "kernels/convolution.h"
#include "mlxc/crew.h"
#include "mlxc/memory.h"

namespace mlxnx::mlxc {
namespace {

// Multiplications that are made at once, on the calling thread, at most: some milliseconds.
constexpr double kMostConvolvedAtOnce = 1 << 24;

using Sizes = std::array<std::int64_t, 5>;
using Places = ConvolutionTask::Places;

// The sizes, and the steps, along the axes that are there; 1 and 0 along others.
Sizes sizes_of(std::span<const int> shape, const Places& places) {
  Sizes sizes;
  for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] = places[i] < 0 ? 1 : shape[places[i]];
  return sizes;
}

Sizes steps_of(const KernelMemory& memory, const Places& places) {
  Sizes steps{};
  std::int64_t in_rows = 1;
  for (std::size_t axis = memory.shape.size(); axis-- > 0;) {
    const std::int64_t step = memory.strides.empty() ? in_rows : memory.strides[axis];
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (places[i] == static_cast<int>(axis)) steps[i] = step;
    }
    in_rows *= memory.shape[axis];
  }
  return steps;
}

double multiplications(const ConvolutionTask& task, std::span<const int> kernel,
                       std::span<const int> result) {
  const double filters = sizes_of(kernel, task.kernel)[0];
  return static_cast<double>(count_of(kernel)) * static_cast<double>(count_of(result)) / filters;
}

// The input with zeros around it has to fit, too.
void check_padded(const ConvolutionTask& task, const Array& input, const Array& kernel,
                  std::span<const int> result) {
  Sizes padded = sizes_of(input.shape(), task.input);
  const Sizes kernels = sizes_of(kernel.shape(), task.kernel), out = sizes_of(result, task.out);
  for (std::size_t i = 0; i < task.axes.size(); ++i) {
    const ConvolutionTask::Axis& axis = task.axes[i];
    padded[i + 2] = (out[i + 2] - 1) * axis.stride + (kernels[i + 2] - 1) * axis.dilation + 1;
  }
  check_fits(padded, sizeof(float));
}

void compute_all(const kernels::ConvolutionPlan& plan, int threads) {
  share(plan.copies(), threads, [&](int part) { plan.copy(part); });
  share(plan.parts(), threads, [&](int part) { plan.compute(part); });
}

}  // namespace

void run(const ConvolutionTask& task, KernelOperands operands, const KernelMemory& result) {
  const Sizes input = sizes_of(operands[0].shape, task.input);
  const Sizes kernel = sizes_of(operands[1].shape, task.kernel);
  const Sizes out = sizes_of(result.shape, task.out);
  kernels::Convolution call;
  call.batch = out[0];
  call.channels = kernel[1];
  const std::int64_t groups = task.groups;
  call.filters = kernel[0] / groups;
  for (std::size_t i = 0; i < call.axes.size(); ++i) {
    const ConvolutionTask::Axis& axis = task.axes[i];
    call.axes[i] = {input[i + 2], kernel[i + 2], out[i + 2], axis.stride, axis.dilation, axis.low};
  }
  call.input = static_cast<const float*>(operands[0].data);
  call.input_steps = steps_of(operands[0], task.input);
  call.kernel = static_cast<const float*>(operands[1].data);
  call.kernel_steps = steps_of(operands[1], task.kernel);
  call.out = static_cast<float*>(result.data);
  call.out_steps = steps_of(result, task.out);

  const int threads = threads_for(multiplications(task, operands[1].shape, result.shape));
  const auto group = [&](std::int64_t i) {
    kernels::Convolution one = call;
    one.input += i * (task.groups_batch ? call.batch * call.input_steps[0]
                                        : call.channels * call.input_steps[1]);
    one.kernel += i * call.filters * call.kernel_steps[0];
    one.out += i * call.filters * call.out_steps[1];
    return one;
  };
  if (groups >= 2 * threads) {
    share(groups, threads, [&](int i) { compute_all(kernels::ConvolutionPlan(group(i), 1), 1); });
    return;
  }
  for (std::int64_t i = 0; i < groups; ++i)
    compute_all(kernels::ConvolutionPlan(group(i), threads), threads);
}

Array convolve(const ConvolutionTask& task, const Array& input, const Array& kernel,
               const Ints& shape) {
  const Array* const operands[] = {&input, &kernel};
  const std::span<const int> result(shape.data(), shape.size());
  check_padded(task, input, kernel, result);
  if (multiplications(task, kernel.shape(), result) > kMostConvolvedAtOnce)
    return kernel_node(task, operands, result, MLX_FLOAT32);
  return compute_small(task, operands, shape, DType::f32);
}

}  // namespace mlxnx::mlxc
