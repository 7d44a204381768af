#include "replay/layout.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/f64_on_gpu.h"
#include "mlxc/graph.h"
#include "mlxc/host_kernels.h"
#include "tensor/node.h"

namespace mlxnx::cli {
namespace {

using mlxc::Array;

// What the gaps of a buffer hold: a number that no op takes for nothing.
constexpr std::byte kGap{0x55};

// One axis of a tensor in a buffer.
struct Axis {
  std::int64_t dim;     // of the tensor
  std::int64_t stored;  // how many of its elements are there: all, or one that stands for all
  std::int64_t room;    // of the buffer
  std::int64_t first = 0;
  std::int64_t step = 1;
  std::int64_t from = 0;  // bytes from one element to the next in the row-major data
  std::int64_t to = 0;    // and in the buffer
};

void set_strides(std::vector<Axis>& axes, const std::vector<std::size_t>& order,
                 std::size_t width) {
  auto from = static_cast<std::int64_t>(width);
  for (std::size_t i = axes.size(); i-- > 0; from *= axes[i].dim) axes[i].from = from;
  auto to = static_cast<std::int64_t>(width);
  for (std::size_t i = axes.size(); i-- > 0; to *= axes[order[i]].room) axes[order[i]].to = to;
}

// Whether all elements of `bytes` are equal along the axis.
bool is_constant(std::span<const std::byte> bytes, const Axis& axis) {
  const std::int64_t block = axis.from * axis.dim;
  for (auto at = bytes.begin(); at != bytes.end(); at += block) {
    if (!std::equal(at, at + block - axis.from, at + axis.from)) return false;
  }
  return true;
}

void copy(const std::byte* from, std::byte* to, std::span<const Axis> axes, std::size_t width) {
  if (axes.empty()) {
    std::memcpy(to, from, width);
    return;
  }
  const Axis& axis = axes.front();
  for (std::int64_t i = 0; i < axis.stored; ++i)
    copy(from + i * axis.from, to + (axis.first + i * axis.step) * axis.to, axes.subspan(1), width);
}

void place(Axis& axis, Layout layout) {
  if (layout == Layout::kStrided) axis = {axis.dim, axis.dim, 2 * axis.dim, 1, 2};
  if (layout == Layout::kSliced) axis = {axis.dim, axis.dim, axis.dim + 2, 1, 1};
  if (layout == Layout::kFlipped) axis = {axis.dim, axis.dim, axis.dim, axis.dim - 1, -1};
}

// The axes from the outermost to the innermost.
std::vector<std::size_t> memory_order(std::size_t rank, Layout layout) {
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), 0);
  if (layout == Layout::kReversed) std::reverse(order.begin(), order.end());
  if (layout == Layout::kPermuted) std::rotate(order.begin(), order.end() - 1, order.end());
  return order;
}

// The axes' elements in a buffer whose axes lie in memory as the tensor's do.
Array elements_of(const Array& buffer, const std::vector<Axis>& axes) {
  Axes first, end, step;
  for (const Axis& axis : axes) {
    first.push_back(axis.first);
    // The end of an axis that goes backwards is counted from the last element: -1 would be that.
    end.push_back(axis.step < 0 ? -axis.room - 1 : axis.first + (axis.stored - 1) * axis.step + 1);
    step.push_back(axis.step);
  }
  return mlxc::slice(buffer, first, end, step);
}

Array in_order(const Array& array, const std::vector<std::size_t>& order) {
  Axes back(order.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<std::int64_t>(i);
  return mlxc::transpose_axes(array, back);
}

// Axes of one stored element repeated; one that has no more than one is repeated and cut again.
Array repeated(const Array& array, const std::vector<Axis>& axes) {
  Shape shape, dims;
  for (const Axis& axis : axes) {
    dims.push_back(axis.dim);
    shape.push_back(axis.dim == 1 ? 2 : axis.dim);
  }
  const std::size_t rank = axes.size();
  return mlxc::slice(mlxc::broadcast_to(array, shape), Axes(rank, 0), dims, Axes(rank, 1));
}

// The graph of the view; nothing here may compute small arrays at once, which would make rows.
Array view_of(std::span<const std::byte> bytes, const TensorType& type, Layout layout) {
  const std::size_t width = size_bytes(type.dtype);
  std::vector<Axis> axes;
  for (const std::int64_t dim : type.shape) axes.push_back({dim, dim, dim});
  if (axes.empty()) axes.push_back({1, 1, 1});  // scalars are cut from vectors
  for (Axis& axis : axes) place(axis, layout);
  const std::vector<std::size_t> order = memory_order(axes.size(), layout);
  set_strides(axes, order, width);
  if (layout == Layout::kBroadcast) {
    for (Axis& axis : axes) {
      if (is_constant(bytes, axis)) axis.stored = axis.room = 1;
    }
    set_strides(axes, order, width);
  }
  TensorType held{type.dtype, {}};
  for (const std::size_t i : order) held.shape.push_back(axes[i].room);
  std::vector<std::byte> buffer(static_cast<std::size_t>(element_count(held.shape)) * width, kGap);
  copy(bytes.data(), buffer.data(), axes, width);

  Array array = Tensor::from_bytes(buffer, held).node().array;
  if (layout == Layout::kBroadcast) {
    array = repeated(array, axes);
  } else if (layout == Layout::kReversed || layout == Layout::kPermuted) {
    array = in_order(array, order);
  } else {
    array = elements_of(array, axes);
  }
  return type.shape.empty() ? mlxc::squeeze_axes(array, {0}) : array;
}

}  // namespace

std::string_view name(Layout layout) {
  constexpr std::array<std::string_view, kLayouts.size()> kNames = {
      "row", "reversed", "permuted", "strided", "sliced", "broadcast", "flipped"};
  return kNames[static_cast<std::size_t>(layout)];
}

Tensor lay_out(std::span<const std::byte> bytes, const TensorType& type, Layout layout) {
  Tensor rows = Tensor::from_bytes(bytes, type);
  if (layout == Layout::kRow || bytes.empty()) return rows;
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(mlxc::device_for(type.dtype)));
  const mlxc::AtOnceScope graph_only(false);
  Tensor view = tensors::wrap(view_of(bytes, type, layout), type);
  eval(view);
  return view;
}

}  // namespace mlxnx::cli
