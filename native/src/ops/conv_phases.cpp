#include <algorithm>

#include "mlxc/graph.h"
#include "ops/conv_paths.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

std::int64_t below(std::int64_t value, std::int64_t modulus) {
  return (value % modulus + modulus) % modulus;
}

std::int64_t ceil_div(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// Along an axis that is dilated `s` times, place p of the result meets the inputs at the multiples
// of s among p - low, p - low + 1, …. With zeros put in front of the kernel until low + 1 is a
// multiple of s, too, place s * q + r meets input q + j with element s * j + s - 1 - r of the
// kernel: a convolution that is not dilated, with kernels of their own for each r.
struct Phase {
  std::int64_t count;  ///< the dilation s
  std::int64_t front;  ///< the zeros in front of the kernel
  SpatialAxis axis;    ///< of the convolution for one r

  explicit Phase(const SpatialAxis& whole)
      : count(whole.input_dilation), front(below(-(whole.low + 1), count)), axis(whole) {
    if (count == 1) return;
    axis.input_dilation = 1;
    axis.kernel = ceil_div(front + whole.kernel, count);
    axis.output = ceil_div(whole.output, count);
    axis.low = (whole.low + front + 1) / count - 1;
    axis.high = axis.output - axis.input - axis.low + axis.kernel - 1;
  }
};

class PhaseConvolution {
 public:
  explicit PhaseConvolution(const ConvGeometry& geometry) : g_(geometry) {
    for (const SpatialAxis& axis : g_.spatial) {
      const Phase& phase = phases_.emplace_back(axis);
      count_ *= phase.count;
    }
  }

  ConvGeometry geometry() const {
    ConvGeometry result = g_;
    result.filters *= count_;
    for (std::size_t i = 0; i < rank(); ++i) result.spatial[i] = phases_[i].axis;
    result.kernel_order = all_axes(rank() + 2);
    // Channels last, so that phases are cut into places in one copy.
    result.output_order = all_axes(rank() + 2);
    std::rotate(result.output_order.begin() + 1, result.output_order.begin() + 2,
                result.output_order.end());
    return result;
  }

  // From [filters, channels, kernel…] in the call's order to [phases… * filters, channels, part of
  // the kernel…].
  Array kernel(const Array& given) const {
    const Array ordered = mlxc::transpose_axes(given, g_.kernel_order);
    const Shape shape = shape_of(ordered);
    Axes axes, order;
    Shape low, high, split{shape[0], shape[1]}, joined{shape[0] * count_, shape[1]};
    Shape start{0, 0}, stop = split, step{1, 1};
    for (std::size_t i = 0; i < rank(); ++i) {
      const Phase& phase = phases_[i];
      const std::int64_t parts = phase.count == 1 ? shape[i + 2] : phase.axis.kernel;
      axes.push_back(axis(i + 2));
      low.push_back(phase.count == 1 ? 0 : phase.front);
      high.push_back(parts * phase.count - shape[i + 2] - low.back());
      for (const std::int64_t size : {parts, phase.count}) split.push_back(size);
      joined.push_back(parts);
      order.push_back(axis(2 * i + 3));
      // The phases backwards, each part forwards.
      start.push_back(0);
      start.push_back(phase.count - 1);
      stop.push_back(parts);
      stop.push_back(-phase.count - 1);
      step.push_back(1);
      step.push_back(-1);
    }
    order.push_back(0);
    order.push_back(1);
    for (std::size_t i = 0; i < rank(); ++i) order.push_back(axis(2 * i + 2));
    const Array zero = mlxc::scalar(std::int64_t{0}, given.dtype());
    const Array parts = mlxc::reshape(mlxc::pad(ordered, axes, low, high, zero), split);
    const Array turned = mlxc::slice(parts, start, stop, step);
    return mlxc::reshape(mlxc::transpose_axes(turned, order), joined);
  }

  // From [batch, places…, phases… * filters] to the call's result.
  Array result(const Array& given) const {
    const Shape shape = shape_of(given);
    Shape split(shape.begin(), shape.end() - 1), joined{shape[0]}, stop{shape[0]};
    Axes order{0};
    for (std::size_t i = 0; i < rank(); ++i) {
      split.push_back(phases_[i].count);
      joined.push_back(shape[i + 1] * phases_[i].count);
      stop.push_back(g_.spatial[i].output);
      order.push_back(axis(i + 1));
      order.push_back(axis(rank() + i + 1));
    }
    for (Shape* const list : {&split, &joined, &stop}) list->push_back(g_.filters);
    order.push_back(axis(2 * rank() + 1));
    Array whole = mlxc::reshape(mlxc::transpose_axes(mlxc::reshape(given, split), order), joined);
    if (stop != joined)
      whole = mlxc::slice(whole, Shape(stop.size(), 0), stop, Shape(stop.size(), 1));
    Axes to_call;
    for (const std::int64_t canonical : g_.output_order)
      to_call.push_back(canonical == 0 ? 0 : canonical == 1 ? axis(rank() + 1) : canonical - 1);
    return mlxc::transpose_axes(whole, to_call);
  }

 private:
  static std::int64_t axis(std::size_t i) { return static_cast<std::int64_t>(i); }
  std::size_t rank() const { return g_.spatial.size(); }

  const ConvGeometry& g_;
  std::vector<Phase> phases_;
  std::int64_t count_ = 1;
};

}  // namespace

bool has_phases(const ConvGeometry& geometry) {
  const auto is_dilated = [](const SpatialAxis& axis) { return axis.input_dilation > 1; };
  if (geometry.groups() != 1 ||
      std::none_of(geometry.spatial.begin(), geometry.spatial.end(), is_dilated))
    return false;
  return std::all_of(geometry.spatial.begin(), geometry.spatial.end(), [&](const auto& axis) {
    return !is_dilated(axis) || (axis.stride == 1 && axis.kernel_dilation == 1);
  });
}

Array convolve_phases(const ConvGeometry& geometry, const Array& input, const Array& kernel,
                      DType type) {
  const PhaseConvolution phases(geometry);
  const ConvGeometry one = phases.geometry();
  if (has_no_products(one)) {
    const Shape shape = geometry.output_shape();
    return mlxc::full(shape, mlxc::scalar(std::int64_t{0}, type), type);
  }
  const auto convolve = is_direct_convolution(one, type) ? convolve_directly : convolve_patches;
  return phases.result(convolve(one, input, phases.kernel(kernel), type));
}

}  // namespace mlxnx::ops
