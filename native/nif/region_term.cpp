#include "nif/region_term.h"

#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "nif/tensor.h"

namespace mlxnx::nif {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::ValueId;

namespace {

Term float_term(ErlNifEnv* env, double value) {
  if (std::isnan(value)) return atoms.nan;
  if (std::isinf(value)) return value > 0 ? atoms.infinity : atoms.neg_infinity;
  return enif_make_double(env, value);
}

Term complex_term(ErlNifEnv* env, const std::complex<double>& value) {
  Term keys[] = {atoms.struct_, atoms.re, atoms.im};
  Term values[] = {atoms.complex, float_term(env, value.real()), float_term(env, value.imag())};
  Term map;
  enif_make_map_from_arrays(env, keys, values, std::size(keys), &map);
  return map;
}

Term number_term(ErlNifEnv* env, const Number& number) {
  return std::visit(
      [env](auto value) {
        using T = decltype(value);
        if constexpr (std::is_same_v<T, std::int64_t>) return encode(env, value);
        if constexpr (std::is_same_v<T, std::uint64_t>) return enif_make_uint64(env, value);
        if constexpr (std::is_same_v<T, double>) return float_term(env, value);
        if constexpr (std::is_same_v<T, std::complex<double>>) return complex_term(env, value);
      },
      number);
}

Term start_term(ErlNifEnv* env, const ops::Start& start) {
  if (const auto* known = std::get_if<std::int64_t>(&start)) return encode(env, *known);
  return enif_make_tuple2(env, atoms.operand,
                          encode(env, std::get<ops::DynamicStart>(start).operand));
}

Term tuple_of(ErlNifEnv* env, std::span<const std::int64_t> numbers) {
  return encode(env, Shape(numbers.begin(), numbers.end()));
}

Term attr_term(ErlNifEnv* env, const ops::AttrValue& attr) {
  return std::visit(
      [env](const auto& value) -> Term {
        using T = std::decay_t<decltype(value)>;
        std::vector<Term> terms;
        if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::int64_t> ||
                      std::is_same_v<T, std::string> || std::is_same_v<T, DType>) {
          return encode(env, value);
        } else if constexpr (std::is_same_v<T, double>) {
          return float_term(env, value);
        } else if constexpr (std::is_same_v<T, Number>) {
          return number_term(env, value);
        } else if constexpr (std::is_same_v<T, Axes>) {
          for (const std::int64_t axis : value) terms.push_back(encode(env, axis));
          return encode(env, terms);
        } else if constexpr (std::is_same_v<T, std::vector<ops::Pair>> ||
                             std::is_same_v<T, std::vector<ops::Triple>>) {
          for (const auto& widths : value) terms.push_back(tuple_of(env, widths));
          return encode(env, terms);
        } else if constexpr (std::is_same_v<T, std::vector<ops::Start>>) {
          for (const ops::Start& start : value) terms.push_back(start_term(env, start));
          return encode(env, terms);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          for (const double number : value) terms.push_back(float_term(env, number));
          return encode(env, terms);
        } else {
          return atoms.nil;
        }
      },
      attr);
}

Term attrs_term(ErlNifEnv* env, const ops::Attrs& attrs) {
  std::vector<Term> pairs;
  for (const auto& [name, value] : attrs.entries()) {
    pairs.push_back(
        enif_make_tuple2(env, enif_make_atom(env, name.c_str()), attr_term(env, value)));
  }
  return encode(env, pairs);
}

Term ids_term(ErlNifEnv* env, std::span<const ValueId> ids) {
  std::vector<Term> terms;
  for (const ValueId id : ids) terms.push_back(enif_make_uint(env, id));
  return encode(env, terms);
}

Term types_term(ErlNifEnv* env, std::span<const TensorType> types) {
  return encode(env, std::vector<TensorType>(types.begin(), types.end()));
}

Term kind_term(ErlNifEnv* env, const Instruction& instruction) {
  return enif_make_atom(env, std::string(name(instruction.kind)).c_str());
}

Term custom_vjp_term(ErlNifEnv* env, const Instruction& instruction) {
  const std::span<const ValueId> operands = instruction.operands;
  const Term kind = kind_term(env, instruction);
  const Term values = ids_term(env, operands.first(instruction.values));
  if (instruction.regions.empty()) {
    return enif_make_tuple4(env, kind, values, ids_term(env, operands.subspan(instruction.values)),
                            encode(env, instruction.callback));
  }
  const Region& backward = *instruction.regions.front();
  const std::size_t inputs = backward.outputs.size();
  return enif_make_tuple5(
      env, kind, values, ids_term(env, operands.subspan(instruction.values, inputs)),
      ids_term(env, operands.subspan(instruction.values + inputs)), region_term(env, backward));
}

Term instruction_term(ErlNifEnv* env, const Instruction& instruction) {
  const std::span<const ValueId> operands = instruction.operands;
  const auto region = [&](std::size_t i) { return region_term(env, *instruction.regions.at(i)); };
  const Term kind = kind_term(env, instruction);
  switch (instruction.kind) {
    case InstructionKind::kOp: {
      const std::string name(instruction.op->name);
      const Term fields[] = {enif_make_atom(env, "op"),
                             enif_make_atom(env, name.c_str()),
                             ids_term(env, operands),
                             attrs_term(env, instruction.attrs),
                             types_term(env, instruction.outputs),
                             instruction.regions.empty() ? atoms.nil : region(0)};
      return enif_make_tuple_from_array(env, fields, std::size(fields));
    }
    case InstructionKind::kConstant:
      return enif_make_tuple2(env, enif_make_atom(env, "constant"),
                              encode(env, *instruction.constant));
    case InstructionKind::kWhile: {
      const std::size_t state = instruction.outputs.size();
      return enif_make_tuple5(env, kind, ids_term(env, operands.first(state)),
                              ids_term(env, operands.subspan(state)), region(0), region(1));
    }
    case InstructionKind::kCond: {
      std::vector<Term> branches;
      for (std::size_t i = 0; i < instruction.regions.size(); ++i) branches.push_back(region(i));
      return enif_make_tuple4(env, kind, ids_term(env, operands.first(instruction.predicates)),
                              ids_term(env, operands.subspan(instruction.predicates)),
                              encode(env, branches));
    }
    case InstructionKind::kHook:
      return enif_make_tuple3(env, kind, encode(env, instruction.callback),
                              ids_term(env, operands));
    case InstructionKind::kRuntimeCall:
      return enif_make_tuple4(env, kind, encode(env, instruction.callback), ids_term(env, operands),
                              types_term(env, instruction.outputs));
    case InstructionKind::kStopGradient:
      return enif_make_tuple2(env, kind, ids_term(env, operands));
    case InstructionKind::kCustomVjp:
      return custom_vjp_term(env, instruction);
    case InstructionKind::kCheckpoint:
      return enif_make_tuple3(env, kind, ids_term(env, operands), region(0));
    case InstructionKind::kWhileReverse: {
      const std::size_t carried = operands.size() - instruction.values;
      const std::size_t state = instruction.regions.at(1)->outputs.size();
      const Term fields[] = {kind,
                             ids_term(env, operands.first(state)),
                             ids_term(env, operands.subspan(state, carried - state)),
                             ids_term(env, operands.subspan(carried)),
                             region(0),
                             region(1),
                             region(2)};
      return enif_make_tuple_from_array(env, fields, std::size(fields));
    }
  }
  return atoms.nil;
}

}  // namespace

Term region_term(ErlNifEnv* env, const Region& region) {
  std::vector<Term> inputs;
  for (std::size_t i = 0; i < region.inputs.size(); ++i) {
    const program::Input& input = region.inputs[i];
    inputs.push_back(enif_make_tuple3(env, enif_make_uint64(env, i), encode(env, input.name),
                                      encode(env, input.type)));
  }
  std::vector<Term> instructions;
  for (const Instruction& instruction : region.instructions) {
    instructions.push_back(enif_make_tuple2(env, enif_make_uint(env, instruction.first),
                                            instruction_term(env, instruction)));
  }
  return enif_make_tuple3(env, encode(env, inputs), encode(env, instructions),
                          ids_term(env, region.outputs));
}

}  // namespace mlxnx::nif
