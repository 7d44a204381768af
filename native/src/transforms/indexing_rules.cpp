#include <algorithm>

#include "transforms/algebra.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

std::vector<SliceStart> starts_of(const Application& call) {
  std::vector<SliceStart> starts;
  for (const ops::Start& start : call.attr<std::vector<ops::Start>>("starts")) {
    if (const auto* known = std::get_if<std::int64_t>(&start)) {
      starts.emplace_back(*known);
    } else {
      starts.emplace_back(
          call.in[static_cast<std::size_t>(std::get<ops::DynamicStart>(start).operand)]);
    }
  }
  return starts;
}

// The elements spread out as they lay in the tensor, zeros between, and put where they came from.
Tensor slice_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const auto& lengths = call.attr<Axes>("lengths");
  const auto* strides = call.attr_if<Axes>("strides");
  std::vector<AxisPadding> padding(g.rank());
  bool spreads = false;
  for (std::size_t k = 0; strides != nullptr && k < padding.size(); ++k) {
    const std::int64_t stride = (*strides)[k];
    if (stride == 1) continue;
    padding[k] = {.high = lengths[k] - ((g.shape()[k] - 1) * stride + 1), .interior = stride - 1};
    spreads = true;
  }
  const Tensor zero(0.0, g.dtype());
  const Tensor spread = spreads ? pad(g, zero, padding) : g;
  return put_slice(zeros({g.dtype(), call.shape(i)}), starts_of(call), spread);
}

Tensor put_slice_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const Shape& shape = call.in.back().shape();
  if (i > 0 && i + 1 < call.in.size()) return zeros({g.dtype(), call.shape(i)});  // a start
  if (i == 0) return put_slice(g, starts_of(call), zeros({g.dtype(), shape}));
  return slice(g, starts_of(call), shape);
}

IndexedOptions indexed(const Application& call) {
  IndexedOptions options;
  if (const auto* axes = call.attr_if<Axes>("axes")) options.axes = *axes;
  return options;
}

// Zeros with `updates` added where the indices point, whose shape without the last axis is the
// beginning of that of the updates.
Tensor added(const TensorType& type, const Tensor& indices, const Tensor& updates,
             const IndexedOptions& options) {
  const auto batch = static_cast<std::ptrdiff_t>(indices.rank()) - 1;
  const std::int64_t depth = indices.shape().back();
  const std::int64_t count = indices.size() / std::max<std::int64_t>(depth, 1);
  Shape flat{count};
  flat.insert(flat.end(), updates.shape().begin() + batch, updates.shape().end());
  return indexed_add(zeros(type), reshape(indices, {count, depth}), reshape(updates, flat),
                     options);
}

Tensor gather_transpose(const Application& call, std::size_t i, const Tensor& g) {
  return added({g.dtype(), call.shape(i)}, call.in[1], g, indexed(call));
}

// What arrives at the updates: they may be shorter than what the indices point at, and then lie at
// its beginning.
Tensor at_updates(const Application& call, const Tensor& g) {
  const Tensor all = gather(g, call.in[1], indexed(call));
  const Shape& shape = call.shape(2);
  if (all.shape() == shape) return all;
  return slice(all, std::vector<SliceStart>(shape.size(), std::int64_t{0}), shape);
}

Tensor indexed_add_transpose(const Application& call, std::size_t i, const Tensor& g) {
  return i == 0 ? g : at_updates(call, g);
}

// Of updates to the same place only the last one stays.
Tensor stays(const Application& call) {
  const Tensor& indices = call.in[1];
  Shape places = indices.shape();
  places.pop_back();
  const Axes axes = axes_of(call, "axes", call.shape(0).size());
  Shape target;
  const auto count = static_cast<std::size_t>(indices.shape().back());
  for (std::size_t k = 0; k < count; ++k)
    target.push_back(call.shape(0)[static_cast<std::size_t>(axes[k])]);
  const Tensor number = iota(places);
  const Tensor last = gather(indexed_put(zeros({DType::s32, target}), indices, number), indices);
  Tensor holds = last == number;
  Shape wide = places;
  wide.resize(call.shape(2).size(), 1);
  return broadcast(reshape(holds, wide), call.shape(2));
}

Tensor indexed_put_transpose(const Application& call, std::size_t i, const Tensor& g) {
  if (i == 0) return indexed_put(g, call.in[1], zeros({g.dtype(), call.shape(2)}), indexed(call));
  return select(stays(call), at_updates(call, g), Tensor(0.0, g.dtype()));
}

Tensor take_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const std::size_t rank = call.shape(i).size();
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), rank);
  const Tensor& indices = call.in[1];
  const auto count = static_cast<std::int64_t>(indices.rank());
  // The axes of the indices come first in what is added.
  Axes order;
  for (std::int64_t k = 0; k < count; ++k) order.push_back(axis + k);
  const Axes rest = other_axes(g.rank(), order);
  order.insert(order.end(), rest.begin(), rest.end());
  return added({g.dtype(), call.shape(i)}, new_axis(indices, -1), transpose(g, {.axes = order}),
               {.axes = Axes{axis}});
}

Tensor take_along_axis_transpose(const Application& call, std::size_t i, const Tensor& g) {
  const std::size_t rank = call.shape(i).size();
  const std::int64_t axis = from_front(call.attr<std::int64_t>("axis"), rank);
  const Shape& shape = g.shape();
  Tensor along = call.in[1];
  if (along.dtype() == DType::u64) {  // beyond the end, and not before the beginning
    const std::int64_t last = call.shape(i)[static_cast<std::size_t>(axis)] - 1;
    along = min(along, Tensor(last, DType::u64));
  }
  std::vector<Tensor> places;
  for (std::int64_t k = 0; k < static_cast<std::int64_t>(rank); ++k)
    places.push_back(k == axis ? as_type(along, DType::s64)
                               : iota(shape, {.axis = k, .type = DType::s64}));
  return added({g.dtype(), call.shape(i)}, stack(places, {.axis = -1}), g, {});
}

}  // namespace

std::span<const Rule> indexing_rules() {
  static const std::vector<Rule> rules = {
      // The last operand of put_slice, behind any number of starts, is the slice; starts are
      // integers that nothing active depends on.
      jointly("put_slice", kAll, put_slice_transpose),
      jointly("slice", kFirst, slice_transpose),
      jointly("gather", kFirst, gather_transpose),
      jointly("indexed_add", kFirst | kThird, indexed_add_transpose),
      jointly("indexed_put", kFirst | kThird, indexed_put_transpose),
      jointly("block:Take", kFirst, take_transpose),
      jointly("block:TakeAlongAxis", kFirst, take_along_axis_transpose),
  };
  return rules;
}

}  // namespace mlxnx::transforms
