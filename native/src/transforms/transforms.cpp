#include "transforms/transforms.h"

#include <string>

#include "mlxnx/error.h"
#include "transforms/algebra.h"
#include "transforms/batch.h"
#include "transforms/cleanup.h"
#include "transforms/control.h"
#include "transforms/interpret.h"

namespace mlxnx::transforms {

using program::Region;

namespace {

using Tensors = std::vector<Tensor>;

std::vector<TensorType> input_types(const Region& region) {
  std::vector<TensorType> types;
  for (const program::Input& input : region.inputs) types.push_back(input.type);
  return types;
}

std::vector<bool> marked(const Region& region, std::span<const std::size_t> wrt) {
  std::vector<bool> result(region.inputs.size());
  for (const std::size_t i : wrt) {
    if (i >= result.size()) {
      throw ArgumentError("[grad] there is no input " + std::to_string(i) + " among " +
                          std::to_string(result.size()));
    }
    result[i] = true;
  }
  return result;
}

// The cotangents at `wrt`, zeros for what the outputs do not depend on.
void append(Tensors& outputs, const Linears& cotangents, const Region& region,
            std::span<const std::size_t> wrt) {
  for (const std::size_t i : wrt) {
    outputs.push_back(cotangents[i] ? *cotangents[i]
                                    : zeros(program::cotangent_type(region.inputs[i].type)));
  }
}

RegionPtr traced(const Region& function, const std::vector<TensorType>& types,
                 const std::function<Tensors(const Tensors&)>& transform) {
  std::vector<program::Input> inputs;
  for (const TensorType& type : types) inputs.push_back({"", type});
  // The function's own keep their names.
  for (std::size_t i = 0; i < function.inputs.size(); ++i) inputs[i].name = function.inputs[i].name;
  return cleaned(region_of(inputs, transform));
}

}  // namespace

RegionPtr value_and_grad(const Region& function, std::span<const std::size_t> wrt, Tape tape) {
  const TapeScope scope(tape);
  const std::vector<bool> wanted = marked(function, wrt);
  if (function.outputs.empty()) throw ArgumentError("[grad] a function without a result");
  return traced(function, input_types(function), [&](const Tensors& inputs) {
    const Pullback pullback(function, inputs, wanted);
    Tensors outputs = pullback.outputs();
    const TensorType type = program::cotangent_type(outputs.front().type());
    Linears cotangents(outputs.size());
    cotangents[0] = constant(std::int64_t{1}, type.dtype, type.shape);
    append(outputs, pullback(cotangents), function, wrt);
    return outputs;
  });
}

RegionPtr vjp(const Region& function, std::span<const std::size_t> wrt, Tape tape) {
  const TapeScope scope(tape);
  const std::vector<bool> wanted = marked(function, wrt);
  std::vector<TensorType> types = input_types(function);
  for (const TensorType& type : function.output_types())
    types.push_back(program::cotangent_type(type));
  return traced(function, types, [&](const Tensors& inputs) {
    const auto count = static_cast<std::ptrdiff_t>(function.inputs.size());
    const Pullback pullback(function, {inputs.begin(), inputs.begin() + count}, wanted);
    Tensors outputs = pullback.outputs();
    append(outputs, pullback({inputs.begin() + count, inputs.end()}), function, wrt);
    return outputs;
  });
}

RegionPtr jvp(const Region& function, std::span<const std::size_t> wrt) {
  marked(function, wrt);
  std::vector<TensorType> types = input_types(function);
  for (const std::size_t i : wrt) types.push_back(program::cotangent_type(function.inputs[i].type));
  return traced(function, types, [&](const Tensors& inputs) {
    const auto count = static_cast<std::ptrdiff_t>(function.inputs.size());
    Linears tangents(function.inputs.size());
    for (std::size_t k = 0; k < wrt.size(); ++k)
      tangents[wrt[k]] = inputs[function.inputs.size() + k];
    const Duals duals =
        push_forward(function, {inputs.begin(), inputs.begin() + count}, std::move(tangents));
    Tensors outputs = duals.values;
    for (std::size_t i = 0; i < duals.tangents.size(); ++i) {
      outputs.push_back(duals.tangents[i] ? *duals.tangents[i]
                                          : zeros(program::cotangent_type(duals.values[i].type())));
    }
    return outputs;
  });
}

namespace {

// An axis of a tensor that has one axis more than `rank`.
std::int64_t checked_axis(std::int64_t axis, std::size_t rank, const char* of) {
  const auto count = static_cast<std::int64_t>(rank) + 1;
  if (axis >= -count && axis < count) return axis < 0 ? axis + count : axis;
  throw ArgumentError("[vmap] axis " + std::to_string(axis) + " of " + of + " with " +
                      std::to_string(count) + " axes");
}

Tensor moved(const Tensor& tensor, std::int64_t from, std::int64_t to) {
  if (from == to) return tensor;
  Axes order = other_axes(tensor.rank(), Axes{from});
  order.insert(order.begin() + to, from);
  return transpose(tensor, {.axes = order});
}

}  // namespace

RegionPtr vmap(const Region& function, std::span<const std::optional<std::int64_t>> in_axes,
               std::int64_t size, std::span<const std::int64_t> out_axes) {
  if (in_axes.size() != function.inputs.size()) {
    throw ArgumentError("[vmap] " + std::to_string(in_axes.size()) + " axes for " +
                        std::to_string(function.inputs.size()) + " inputs");
  }
  if (!out_axes.empty() && out_axes.size() != function.outputs.size()) {
    throw ArgumentError("[vmap] " + std::to_string(out_axes.size()) + " axes for " +
                        std::to_string(function.outputs.size()) + " outputs");
  }
  if (size < 1) throw ArgumentError("[vmap] " + std::to_string(size) + " examples");
  std::vector<TensorType> types = input_types(function);
  std::vector<std::int64_t> places(types.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!in_axes[i]) continue;
    places[i] = checked_axis(*in_axes[i], types[i].shape.size(), "an input");
    types[i].shape.insert(types[i].shape.begin() + places[i], size);
  }
  return traced(function, types, [&](const Tensors& inputs) {
    std::vector<Batched> values;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      values.push_back(
          {in_axes[i] ? moved(inputs[i], places[i], 0) : inputs[i], in_axes[i].has_value()});
    }
    Tensors outputs;
    for (const Batched& value : map_over(function, std::move(values), size)) {
      const Tensor& tensor = value.tensor;
      const Tensor mapped =
          value.is_mapped ? tensor : broadcast(tensor, with_first(size, tensor.shape()));
      const std::int64_t out = out_axes.empty() ? 0 : out_axes[outputs.size()];
      outputs.push_back(moved(mapped, 0, checked_axis(out, mapped.rank() - 1, "an output")));
    }
    return outputs;
  });
}

}  // namespace mlxnx::transforms
