// The public transforms over flat tensors: the function becomes a region, the region another one,
// and that is run, or recorded where the caller is itself traced.
#include <algorithm>
#include <functional>
#include <numeric>

#include "mlxnx/error.h"
#include "mlxnx/transforms.h"
#include "program/executable.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/parts.h"
#include "transforms/transforms.h"

namespace mlxnx {

namespace tree {

std::vector<std::string> split_names(const char* names) {
  std::vector<std::string> result{""};
  for (const char* c = names; *c != '\0'; ++c) {
    if (*c == ',') {
      result.emplace_back();
    } else if (*c != ' ' && *c != '\n') {
      result.back() += *c;
    }
  }
  return result;
}

}  // namespace tree

namespace tracing {
namespace {

using program::Region;
using program::Trace;
using transforms::joined;
using transforms::RegionPtr;
using transforms::Tensors;
using transforms::types_of;

// A function as a region; what it takes from functions that are being traced around it are inputs
// behind its own.
struct Traced {
  RegionPtr region;
  Tensors captures;
};

Traced traced(const Program::Function& function, const Tensors& inputs,
              const std::vector<TensorType>& types) {
  std::vector<program::Input> ports;
  for (std::size_t i = 0; i < inputs.size(); ++i) ports.push_back({"", types[i]});
  Trace trace;
  trace.run(ports, function);
  Traced result{nullptr, trace.captures()};
  result.region = trace.region();
  return result;
}

Tensors run(const RegionPtr& region, const Tensors& inputs) {
  const bool is_recorded =
      ops::records_all() || std::any_of(inputs.begin(), inputs.end(), [](const Tensor& tensor) {
        return tensor.node().is_traced();
      });
  if (!is_recorded) return program::Executable({*region, {}}).run(inputs);
  Trace* const trace = Trace::current();
  if (trace == nullptr)
    throw ArgumentError("[trace] a tensor of a traced function was kept beyond its tracing");
  return trace->record_program(*region, inputs);
}

std::vector<std::size_t> first_positions(std::size_t count) {
  std::vector<std::size_t> result(count);
  std::iota(result.begin(), result.end(), std::size_t{0});
  return result;
}

// Tangents or cotangents of values, in their types.
Tensors fitting(const char* op, const Tensors& given, const std::vector<TensorType>& values) {
  if (given.size() != values.size()) {
    throw ArgumentError("[" + std::string(op) + "] " + std::to_string(given.size()) +
                        " tensors where there are " + std::to_string(values.size()) +
                        " to go with");
  }
  Tensors result;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const TensorType type = program::cotangent_type(values[i]);
    if (given[i].shape() != type.shape) {
      throw ShapeError("[" + std::string(op) + "] tensor " + std::to_string(i) + " is " +
                       to_string(given[i].type()) + " and should be " + to_string(type));
    }
    result.push_back(given[i].dtype() == type.dtype ? given[i] : as_type(given[i], type.dtype));
  }
  return result;
}

// One-hot tensors of a type's shape, one for each of its elements.
Tensor directions(const TensorType& type) {
  const std::int64_t count = element_count(type.shape);
  return reshape(eye(count, {.type = type.dtype}), transforms::with_first(count, type.shape));
}

}  // namespace

Tensors value_and_grad(const Program::Function& function, const Tensors& inputs,
                       const std::vector<std::size_t>& wrt, Tape tape) {
  const Traced original = traced(function, inputs, types_of(inputs));
  return run(transforms::value_and_grad(*original.region, wrt, tape),
             joined(inputs, original.captures));
}

Tensors vjp(const Program::Function& function, const Tensors& inputs, const Tensors& cotangents,
            Tape tape) {
  const Traced original = traced(function, inputs, types_of(inputs));
  const Tensors fit = fitting("vjp", cotangents, original.region->output_types());
  return run(transforms::vjp(*original.region, first_positions(inputs.size()), tape),
             joined(joined(inputs, original.captures), fit));
}

Tensors jvp(const Program::Function& function, const Tensors& inputs, const Tensors& tangents) {
  const Tensors fit = fitting("jvp", tangents, types_of(inputs));
  const Traced original = traced(function, inputs, types_of(inputs));
  return run(transforms::jvp(*original.region, first_positions(inputs.size())),
             joined(joined(inputs, original.captures), fit));
}

Tensors vmap(const Program::Function& function, const Tensors& inputs,
             const std::vector<std::optional<std::int64_t>>& in_axes, std::int64_t out_axis) {
  std::vector<TensorType> types = types_of(inputs);
  std::optional<std::int64_t> size;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!in_axes[i]) continue;
    Shape& shape = types[i].shape;
    const auto rank = static_cast<std::int64_t>(shape.size());
    const std::int64_t axis = *in_axes[i] < 0 ? *in_axes[i] + rank : *in_axes[i];
    if (axis < 0 || axis >= rank) {
      throw ArgumentError("[vmap] there is no axis " + std::to_string(*in_axes[i]) + " in " +
                          to_string(inputs[i].type()));
    }
    const std::int64_t own = shape[static_cast<std::size_t>(axis)];
    if (size && *size != own) {
      throw ArgumentError("[vmap] there are " + std::to_string(*size) + " examples and " +
                          std::to_string(own) + " in " + to_string(inputs[i].type()));
    }
    size = own;
    shape.erase(shape.begin() + axis);
  }
  if (!size) throw ArgumentError("[vmap] no argument is mapped");
  const Traced original = traced(function, inputs, types);
  std::vector<std::optional<std::int64_t>> axes = in_axes;
  axes.resize(original.region->inputs.size());
  const std::vector<std::int64_t> out_axes(original.region->outputs.size(), out_axis);
  return run(transforms::vmap(*original.region, axes, *size, out_axes),
             joined(inputs, original.captures));
}

namespace {

// The transform `along` answers (inputs…, direction) -> (…, derivative); all directions at once.
Tensor in_all_directions(const RegionPtr& along, std::size_t place, const Tensors& inputs,
                         const TensorType& direction, const Shape& shape) {
  std::vector<std::optional<std::int64_t>> axes(along->inputs.size());
  axes.back() = 0;
  const Tensor all = directions(direction);
  const RegionPtr mapped = transforms::vmap(*along, axes, all.shape()[0]);
  return reshape(run(mapped, joined(inputs, Tensors{all})).at(place), shape);
}

}  // namespace

Tensor jacobian(const Program::Function& function, const Tensor& input, Tape tape) {
  const Traced original = traced(function, {input}, {input.type()});
  const TensorType output = original.region->output_types().front();
  Shape shape = output.shape;
  shape.insert(shape.end(), input.shape().begin(), input.shape().end());
  const std::array<std::size_t, 1> wrt{0};
  return in_all_directions(transforms::vjp(*original.region, wrt, tape), 1,
                           joined(Tensors{input}, original.captures),
                           program::cotangent_type(output), shape);
}

Tensor hessian(const Program::Function& function, const Tensor& input, Tape tape) {
  const Traced original = traced(function, {input}, {input.type()});
  if (!original.region->output_types().front().shape.empty()) {
    throw ShapeError("[hessian] of a function that answers " +
                     to_string(original.region->output_types().front()) + ", no scalar");
  }
  const std::array<std::size_t, 1> wrt{0};
  const RegionPtr gradient = transforms::value_and_grad(*original.region, wrt, tape);
  Shape shape = input.shape();
  shape.insert(shape.end(), input.shape().begin(), input.shape().end());
  // (value, gradient, tangent of the value, tangent of the gradient)
  return in_all_directions(transforms::jvp(*gradient, wrt), 3,
                           joined(Tensors{input}, original.captures),
                           program::cotangent_type(input.type()), shape);
}

Tensors checkpoint(const Program::Function& function, const Tensors& inputs) {
  Trace* const trace = Trace::current();
  if (trace == nullptr) return function(inputs);
  const Traced piece = traced(function, inputs, types_of(inputs));
  return trace->record_instruction(program::checkpoint_of(piece.region),
                                   joined(inputs, piece.captures));
}

Tensors stop_gradient(const Tensors& tensors) {
  Trace* const trace = Trace::current();
  if (trace == nullptr || tensors.empty()) return tensors;
  program::Instruction mark;
  mark.kind = program::InstructionKind::kStopGradient;
  mark.outputs = program::OutputTypes(types_of(tensors));
  return trace->record_instruction(mark, tensors);
}

Tensors custom_vjp(const Tensors& inputs, const Tensors& results,
                   const Program::Function& backward) {
  Trace* const trace = Trace::current();
  if (trace == nullptr || results.empty()) return results;
  const Tensors known = joined(inputs, results);
  std::vector<TensorType> types;
  for (const Tensor& result : results) types.push_back(program::cotangent_type(result.type()));
  for (const Tensor& tensor : known) types.push_back(tensor.type());
  const Traced back = traced(
      [&](const Tensors& given) {
        Tensors cotangents = backward(given);
        if (cotangents.size() != inputs.size()) {
          throw ArgumentError("[custom_vjp] the gradient answers " +
                              std::to_string(cotangents.size()) + " tensors for " +
                              std::to_string(inputs.size()) + " of the arguments");
        }
        for (std::size_t i = 0; i < inputs.size(); ++i)
          cotangents[i] = transforms::conform(cotangents[i], inputs[i].type());
        return cotangents;
      },
      joined(results, known), types);
  program::Instruction mark;
  mark.kind = program::InstructionKind::kCustomVjp;
  mark.values = static_cast<std::uint32_t>(results.size());
  mark.regions = {back.region};
  mark.outputs = program::OutputTypes(types_of(results));
  return trace->record_instruction(mark,
                                   joined(joined(results, inputs), joined(known, back.captures)));
}

}  // namespace tracing
}  // namespace mlxnx
