#include <algorithm>
#include <vector>

#include "mlxc/graph.h"
#include "ops/conv_paths.h"
#include "ops/matmul.h"
#include "ops/operands.h"
#include "ops/shape_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Patches are made in parts of about this size: they stay in the cache until they are multiplied,
// and a large image does not need kernel-size times its memory.
constexpr std::int64_t kPatchBytes = std::int64_t{1} << 30;

bool is_identity(const Axes& order) { return order == all_axes(order.size()); }

Array transposed(const Array& array, const Axes& order) {
  return is_identity(order) ? array : mlxc::transpose_axes(array, order);
}

// One convolution by matrix products.
class PatchConvolution {
 public:
  PatchConvolution(const ConvGeometry& geometry, DType type)
      : g_(geometry), type_(type), rank_(g_.spatial.size() + 2) {
    // Patches keep the input's memory order, so that neighbours stay neighbours.
    channels_last_ = rank_ > 2 && g_.input_order[1] == static_cast<std::int64_t>(rank_) - 1;
    layout_ = all_axes(rank_);
    if (channels_last_) std::rotate(layout_.begin() + 1, layout_.begin() + 2, layout_.end());
  }

  // `kernel` and `input` as the call gives them.
  Array run(const Array& input, const Array& kernel) {
    pad(input);
    kernel_ = kernel_matrices(kernel);
    const std::int64_t batch = g_.output_batch();
    const std::int64_t item_bytes = std::max<std::int64_t>(
        1, g_.groups() * patch_size() * output_count() * static_cast<std::int64_t>(bytes()));
    const std::int64_t step = std::clamp<std::int64_t>(kPatchBytes / item_bytes, 1, batch);
    std::vector<Array> parts;
    for (std::int64_t from = 0; from < batch; from += step)
      parts.push_back(items(from, std::min(batch, from + step), item_bytes));
    return in_output_order(joined(parts, 0));
  }

 private:
  std::size_t bytes() const { return size_bytes(type_); }

  std::int64_t patch_size() const {
    std::int64_t size = g_.group_channels();
    for (const SpatialAxis& axis : g_.spatial) size *= axis.kernel;
    return size;
  }

  std::int64_t output_count() const {
    std::int64_t count = 1;
    for (const SpatialAxis& axis : g_.spatial) count *= axis.output;
    return count;
  }

  Axes in_layout(const Axes& order) const {
    Axes result;
    for (const std::int64_t axis : layout_) result.push_back(order[static_cast<std::size_t>(axis)]);
    return result;
  }

  // Places the input, dilated and padded, in layout order.
  void pad(const Array& input) {
    Shape shape{g_.batch, g_.channels};
    Shape begin{0, 0}, end = shape, low{0, 0}, high = shape, step{1, 1};
    bool is_cut = false, is_padded = false;
    for (const SpatialAxis& axis : g_.spatial) {
      const SpatialAxis::Cut cut = axis.cut();
      const std::int64_t last = cut.low + (cut.end - cut.begin - 1) * axis.input_dilation + 1;
      begin.push_back(cut.begin);
      end.push_back(cut.end);
      low.push_back(cut.low);
      high.push_back(last);
      step.push_back(axis.input_dilation);
      shape.push_back(last + cut.high);
      is_cut |= cut.begin != 0 || cut.end != axis.input;
      is_padded |= shape.back() != cut.end - cut.begin;
    }
    padded_shape_ = in_layout(shape);
    element_count(padded_shape_);  // throws where the strides would overflow
    strides_ = row_major_strides(padded_shape_);
    Array inner = transposed(convert(input, input.dtype(), type_), in_layout(g_.input_order));
    if (is_cut) inner = mlxc::slice(inner, in_layout(begin), in_layout(end), Shape(rank_, 1));
    padded_ = is_padded ? mlxc::slice_update(zeros({type_, padded_shape_}), inner, in_layout(low),
                                             in_layout(high), in_layout(step))
                        : mlxc::contiguous(inner);
  }

  // `[groups, filters, patch]`, or `[groups, patch, filters]` where channels come last; without
  // the axis of groups when there is one.
  Array kernel_matrices(const Array& kernel) const {
    const Array typed = convert(kernel, kernel.dtype(), type_);
    const std::int64_t groups = g_.groups();
    if (!channels_last_) {
      const Array ordered = transposed(typed, g_.kernel_order);
      const std::int64_t filters = g_.filters / groups;
      return mlxc::reshape(ordered, groups == 1 ? Shape{filters, patch_size()}
                                                : Shape{groups, filters, patch_size()});
    }
    Axes order(g_.kernel_order.begin() + 2, g_.kernel_order.end());
    order.push_back(g_.kernel_order[1]);
    order.push_back(g_.kernel_order[0]);
    const Array matrix = mlxc::reshape(transposed(typed, order), {patch_size(), g_.filters});
    if (groups == 1) return matrix;
    const Array split = mlxc::reshape(matrix, {patch_size(), groups, g_.filters / groups});
    return mlxc::transpose_axes(split, {1, 0, 2});
  }

  // Output items `from` to `to` of the batch, in layout order; in rows of the first spatial axis
  // where one item alone is large.
  Array items(std::int64_t from, std::int64_t to, std::int64_t item_bytes) const {
    const std::int64_t rows = rank_ > 2 ? g_.spatial[0].output : 1;
    const std::int64_t fitting =
        item_bytes > 4 * kPatchBytes ? 4 * kPatchBytes * rows / item_bytes : rows;
    const std::int64_t step = std::clamp<std::int64_t>(fitting, 1, rows);
    std::vector<Array> parts;
    for (std::int64_t row = 0; row < rows; row += step)
      parts.push_back(block(from, to, row, std::min(rows, row + step)));
    return joined(parts, channels_last_ ? 1 : 2);
  }

  static Array joined(const std::vector<Array>& parts, int axis) {
    return parts.size() == 1 ? parts.front() : mlxc::concatenate(parts, axis);
  }

  // The axes of a strided view under construction.
  struct View {
    Shape shape;
    InlineVector<std::int64_t, 12> strides;
    void add(std::int64_t size, std::int64_t stride) {
      shape.push_back(size);
      strides.push_back(stride);
    }
  };

  std::int64_t stride_of(std::size_t canonical_axis) const {
    const auto at =
        std::find(layout_.begin(), layout_.end(), static_cast<std::int64_t>(canonical_axis));
    return strides_[static_cast<std::size_t>(at - layout_.begin())];
  }

  void add_groups(View& view) const {
    if (g_.groups() == 1) return;
    view.add(g_.groups(), g_.batch_groups > 1 ? g_.output_batch() * stride_of(0)
                                              : g_.group_channels() * stride_of(1));
  }

  void add_kernel(View& view) const {
    for (std::size_t i = 0; i + 2 < rank_; ++i)
      view.add(g_.spatial[i].kernel, g_.spatial[i].kernel_dilation * stride_of(i + 2));
  }

  void add_output(View& view, std::int64_t rows) const {
    for (std::size_t i = 0; i + 2 < rank_; ++i)
      view.add(i == 0 ? rows : g_.spatial[i].output, g_.spatial[i].stride * stride_of(i + 2));
  }

  Array block(std::int64_t from, std::int64_t to, std::int64_t row, std::int64_t end_row) const {
    const std::int64_t batch = to - from;
    const std::int64_t rows = end_row - row;
    std::int64_t offset = from * stride_of(0);
    std::int64_t count = output_count();
    if (rank_ > 2) {
      offset += row * g_.spatial[0].stride * stride_of(2);
      count = count / g_.spatial[0].output * rows;
    }
    return channels_last_ ? block_channels_last(batch, rows, offset, count)
                          : block_channels_first(batch, rows, offset, count);
  }

  Array view_of(const View& view, std::int64_t offset) const {
    return mlxc::as_strided(padded_, view.shape, view.strides, static_cast<std::size_t>(offset));
  }

  Array block_channels_first(std::int64_t batch, std::int64_t rows, std::int64_t offset,
                             std::int64_t count) const {
    View view;
    view.add(batch, stride_of(0));
    add_groups(view);
    view.add(g_.group_channels(), stride_of(1));
    add_kernel(view);
    add_output(view, rows);
    const Shape patches = g_.groups() == 1 ? Shape{batch, patch_size(), count}
                                           : Shape{batch, g_.groups(), patch_size(), count};
    const Array product = matmul({kernel_}, {mlxc::reshape(view_of(view, offset), patches)}, type_);
    Shape shape{batch, g_.filters};
    for (std::size_t i = 0; i + 2 < rank_; ++i)
      shape.push_back(i == 0 ? rows : g_.spatial[i].output);
    return mlxc::reshape(product, shape);
  }

  Array block_channels_last(std::int64_t batch, std::int64_t rows, std::int64_t offset,
                            std::int64_t count) const {
    View view;
    add_groups(view);
    view.add(batch, stride_of(0));
    add_output(view, rows);
    add_kernel(view);
    view.add(g_.group_channels(), stride_of(1));
    const std::int64_t groups = g_.groups();
    const Shape patches = groups == 1 ? Shape{batch * count, patch_size()}
                                      : Shape{groups, batch * count, patch_size()};
    Array product = matmul({mlxc::reshape(view_of(view, offset), patches)}, {kernel_}, type_);
    if (groups > 1) product = mlxc::transpose_axes(product, {1, 0, 2});
    Shape shape{batch};
    for (std::size_t i = 0; i + 2 < rank_; ++i)
      shape.push_back(i == 0 ? rows : g_.spatial[i].output);
    shape.push_back(g_.filters);
    return mlxc::reshape(product, shape);
  }

  Array in_output_order(const Array& array) const {
    Axes order;
    for (const std::int64_t axis : g_.output_order) {
      const auto at = std::find(layout_.begin(), layout_.end(), axis);
      order.push_back(at - layout_.begin());
    }
    return transposed(array, order);
  }

  const ConvGeometry& g_;
  DType type_;
  std::size_t rank_;
  bool channels_last_;
  Axes layout_;  ///< canonical axes in the order of the padded input and of the result
  Array padded_, kernel_;
  Shape padded_shape_;
  Axes strides_;
};

}  // namespace

Array convolve_patches(const ConvGeometry& geometry, const Array& input, const Array& kernel,
                       DType type) {
  return PatchConvolution(geometry, type).run(input, kernel);
}

}  // namespace mlxnx::ops
