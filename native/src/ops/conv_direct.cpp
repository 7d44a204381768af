#include <algorithm>

#include "mlxc/convolution_kernel.h"
#include "ops/conv_paths.h"
#include "ops/operands.h"

namespace mlxnx::ops {

using mlxc::Array;

bool is_direct_convolution(const ConvGeometry& geometry, DType type) {
  const std::size_t rank = geometry.spatial.size();
  return type == DType::f32 && rank >= 1 && rank <= 3 && on_cpu() && mlxc::has_kernels() &&
         std::all_of(geometry.spatial.begin(), geometry.spatial.end(),
                     [](const SpatialAxis& axis) { return axis.input_dilation == 1; });
}

Array convolve_directly(const ConvGeometry& g, const Array& input, const Array& kernel,
                        DType type) {
  mlxc::ConvolutionTask task;
  const std::size_t rank = g.spatial.size();
  task.groups = static_cast<int>(g.groups());
  task.groups_batch = g.batch_groups > 1;
  // The task's spatial axes are three, of which the last are there.
  const auto place = [&](std::size_t canonical) {
    return canonical < 2 ? canonical : canonical + 3 - rank;
  };
  for (std::size_t i = 0; i < rank; ++i) {
    const SpatialAxis& axis = g.spatial[i];
    task.axes[i + 3 - rank] = {axis.stride, axis.kernel_dilation, axis.low};
  }
  for (std::size_t i = 0; i < rank + 2; ++i) {
    task.input[place(i)] = static_cast<int>(g.input_order[i]);
    task.kernel[place(i)] = static_cast<int>(g.kernel_order[i]);
    task.out[place(static_cast<std::size_t>(g.output_order[i]))] = static_cast<int>(i);
  }
  return mlxc::convolve(task, convert(input, input.dtype(), type),
                        convert(kernel, kernel.dtype(), type), g.output_shape());
}

}  // namespace mlxnx::ops
