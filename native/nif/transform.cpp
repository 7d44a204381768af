#include "nif/transform.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/error.h"
#include "program/builder.h"
#include "transforms/cleanup.h"
#include "transforms/transforms.h"

namespace mlxnx::nif {

using program::Region;
using transforms::RegionPtr;

namespace {

using Positions = std::span<const std::size_t>;

RegionPtr gradients(const Region& function, Positions wrt, Tape tape) {
  Region region = *transforms::value_and_grad(function, wrt, tape);
  const auto values = static_cast<std::ptrdiff_t>(function.outputs.size());
  region.outputs.erase(region.outputs.begin(), region.outputs.begin() + values);
  return transforms::cleaned(std::move(region));
}

struct ByInputs {
  std::string_view name;
  RegionPtr (*transform)(const Region& function, Positions wrt, Tape tape);
};

constexpr ByInputs kByInputs[] = {
    {"grad", &gradients},
    {"value_and_grad", &transforms::value_and_grad},
    {"vjp", &transforms::vjp},
    {"jvp",
     [](const Region& function, Positions wrt, Tape) { return transforms::jvp(function, wrt); }},
};

std::vector<std::size_t> positions(ErlNifEnv* env, std::string_view name, Term term,
                                   const Region& function) {
  std::vector<std::size_t> positions;
  for (const std::int64_t position : decode<std::vector<std::int64_t>>(env, term)) {
    const std::string called = "[" + std::string(name) + "] ";
    const std::size_t count = function.inputs.size();
    if (position < 0 || static_cast<std::size_t>(position) >= count) {
      throw ArgumentError(called + "there is no input " + std::to_string(position) + " among " +
                          std::to_string(count));
    }
    const auto at = static_cast<std::size_t>(position);
    if (std::find(positions.begin(), positions.end(), at) != positions.end())
      throw ArgumentError(called + "input " + std::to_string(position) + " is named twice");
    positions.push_back(at);
  }
  return positions;
}

// `{in_axes, size, out_axes}`; the inputs behind those that `in_axes` has axes or nil for are
// shared.
RegionPtr mapped(ErlNifEnv* env, Term parameters, const Region& function) {
  const auto fields = decode_tuple(env, parameters, 3, "{in_axes, size, out_axes}");
  std::vector<std::optional<std::int64_t>> in_axes;
  for (const Term axis : decode<std::vector<Term>>(env, fields[0])) {
    in_axes.push_back(axis == atoms.nil ? std::nullopt
                                        : std::optional(decode<std::int64_t>(env, axis)));
  }
  if (in_axes.size() < function.inputs.size()) in_axes.resize(function.inputs.size());
  return transforms::vmap(function, in_axes, decode<std::int64_t>(env, fields[1]),
                          decode<std::vector<std::int64_t>>(env, fields[2]));
}

RegionPtr checkpointed(const Region& function) {
  program::RegionBuilder builder;
  std::vector<program::ValueId> inputs;
  for (const program::Input& input : function.inputs)
    inputs.push_back(builder.input(input.name, input.type));
  const std::vector<program::ValueId> outputs =
      builder.append(program::checkpoint_of(std::make_shared<const Region>(function)), inputs);
  return builder.region(outputs);
}

RegionPtr by_inputs(ErlNifEnv* env, const ByInputs& row, Term parameters, const Region& function) {
  const auto fields = decode_tuple(env, parameters, 2, "{positions, tape}");
  const Tape tape = program::tape_from_name(decode<std::string>(env, fields[1]));
  return row.transform(function, positions(env, row.name, fields[0], function), tape);
}

}  // namespace

RegionPtr transformed(ErlNifEnv* env, std::string_view name, Term parameters,
                      const Region& function) {
  for (const ByInputs& row : kByInputs) {
    if (row.name == name) return by_inputs(env, row, parameters, function);
  }
  if (name == "vmap") return mapped(env, parameters, function);
  if (name == "checkpoint") return checkpointed(function);
  throw ArgumentError("[transform] there is no transform called " + std::string(name));
}

}  // namespace mlxnx::nif
