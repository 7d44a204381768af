// What mlxnx::nn has by name, as programs. A callable, a function of tensors in their order, is one
// of
//
//     {:function, family, name, given, options}  of the operands that are given; `given` holds a
//                                                boolean for each of the first
//     {:layer, name, options, parameters, given, on_call}
//                                                of the parameters, whose names are listed, and the
//                                                operands; answers the outputs, and then the
//                                                tensors of the layer that change, which have names
//     {:layer_init, name, options}               of a key; answers the parameters, which have names
//     {:optimizer_init, name, options, schedule, parameters}
//                                                of the parameters, whose names are listed; answers
//                                                the state, which has names
//     {:optimizer_update, name, options, schedule, parameters, state}
//                                                of a gradient for each parameter, the parameters
//                                                and the state, whose names are listed; answers the
//                                                parameters, and then the state, which has names
//     {:clip_grad_norm, max_norm}                of gradients; answers them, and their norm
//
// A schedule is nil where the learning rate is a number, {name, options}, or
// {:join_schedules, schedules, boundaries}.
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/ops/creation.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/op_call.h"
#include "nif/program.h"
#include "nif/tensor.h"
#include "nn/function.h"
#include "nn/layer.h"
#include "nn/optimizers/optimizer_def.h"
#include "program/tensor_file.h"
#include "program/trace.h"
#include "transforms/apply.h"
#include "transforms/cleanup.h"

namespace mlxnx::nif {
namespace {

using Tensors = std::vector<Tensor>;

struct Callable {
  program::Trace::Function call;
  /// Of the outputs, once it was called; empty without names.
  std::shared_ptr<std::vector<std::string>> names = std::make_shared<std::vector<std::string>>();
};

void require_more(const Tensors& tensors, std::size_t wanted) {
  if (tensors.size() < wanted) throw ArgumentError("too few tensors for the operands");
}

// The operands of a call: those of `tensors` from `first` on, at the places where they are given.
std::vector<std::optional<Tensor>> operands_of(const std::vector<bool>& given,
                                               const Tensors& tensors, std::size_t first) {
  std::vector<std::optional<Tensor>> operands;
  for (const bool is_given : given) {
    if (is_given) require_more(tensors, first + 1);
    operands.push_back(is_given ? std::optional(tensors[first++]) : std::nullopt);
  }
  if (first != tensors.size()) throw ArgumentError("too many tensors for the operands");
  return operands;
}

std::vector<bool> booleans(ErlNifEnv* env, Term term) {
  std::vector<bool> values;
  for (const Term value : decode<std::vector<Term>>(env, term))
    values.push_back(decode<bool>(env, value));
  return values;
}

// Drawn by a key that does not matter: the weights are replaced.
std::shared_ptr<const nn::Layer> blank(const nn::LayerDef& row, const ops::Attrs& options) {
  return nn::make(row, options, constant(0, DType::u32, {2}));
}

Callable function_of(ErlNifEnv* env, const Term* fields) {
  const std::string family_name = decode<std::string>(env, fields[1]);
  const auto family = nn::family_called(family_name);
  if (!family) throw ArgumentError("there is no family of functions called " + family_name);
  const nn::FunctionDef& row = nn::function(*family, decode<std::string>(env, fields[2]));
  return {[&row, given = booleans(env, fields[3]),
           options =
               decode_attrs(env, row.name, row.options, fields[4], true)](const Tensors& tensors) {
    return nn::call(row, operands_of(given, tensors, 0), options);
  }};
}

Callable layer_of(ErlNifEnv* env, const Term* fields) {
  const nn::LayerDef& row = nn::layer(decode<std::string>(env, fields[1]));
  Callable callable;
  callable.call = [&row, names = callable.names,
                   options = decode_attrs(env, row.name, row.options, fields[2], true),
                   given_parameters = decode<std::vector<std::string>>(env, fields[3]),
                   given = booleans(env, fields[4]),
                   on_call = decode_attrs(env, row.name, row.on_call, fields[5], true)](
                      const Tensors& tensors) {
    nn::Parameters parameters;
    require_more(tensors, given_parameters.size());
    for (std::size_t i = 0; i < given_parameters.size(); ++i)
      parameters.emplace(given_parameters[i], tensors[i]);
    const auto layer = blank(row, options)->with(parameters, true);
    nn::LayerAnswer answer =
        nn::call(*layer, operands_of(given, tensors, given_parameters.size()), on_call);
    Tensors results = std::move(answer.outputs);
    names->assign(results.size(), "");
    for (const auto& [name, tensor] : answer.state) {
      names->push_back(name);
      results.push_back(tensor);
    }
    return results;
  };
  return callable;
}

Callable initial_of(ErlNifEnv* env, const Term* fields) {
  const nn::LayerDef& row = nn::layer(decode<std::string>(env, fields[1]));
  Callable callable;
  callable.call = [&row, names = callable.names,
                   options = decode_attrs(env, row.name, row.options, fields[2], true)](
                      const Tensors& tensors) {
    Tensors results;
    names->clear();
    require_more(tensors, 1);
    for (const auto& [name, tensor] : nn::make(row, options, tensors[0])->parameters()) {
      names->push_back(name);
      results.push_back(tensor);
    }
    return results;
  };
  return callable;
}

// `term` is {:join_schedules, schedules, boundaries} or {name, options}.
optimizers::ScheduleSpec schedule_of(ErlNifEnv* env, Term term, int depth = 0) {
  constexpr int kDeepest = 16;
  int size = 0;
  const Term* fields = nullptr;
  if (depth == kDeepest || enif_get_tuple(env, term, &size, &fields) == 0 || size < 2 || size > 3)
    throw_unexpected(term, "a schedule {name, options}");
  optimizers::ScheduleSpec spec;
  spec.name = decode<std::string>(env, fields[0]);
  if (size == 2) {
    const nn::FunctionDef& row = nn::function(nn::Family::kSchedule, spec.name);
    spec.options = decode_attrs(env, row.name, row.options, fields[1], true);
    return spec;
  }
  for (const Term schedule : decode<std::vector<Term>>(env, fields[1]))
    spec.schedules.push_back(schedule_of(env, schedule, depth + 1));
  spec.boundaries = decode<std::vector<std::int64_t>>(env, fields[2]);
  return spec;
}

optimizers::Optimizer optimizer_of(ErlNifEnv* env, const Term* fields) {
  const optimizers::OptimizerDef& row = optimizers::optimizer(decode<std::string>(env, fields[1]));
  const ops::Attrs options = decode_attrs(env, row.name, row.options, fields[2], true);
  if (fields[3] == atoms.nil) return optimizers::make(row, options);
  return optimizers::make(row, options, optimizers::make_schedule(schedule_of(env, fields[3])));
}

nn::NamedTensors named(const std::vector<std::string>& names, const Tensors& tensors,
                       std::size_t first) {
  require_more(tensors, first + names.size());
  nn::NamedTensors result;
  for (std::size_t i = 0; i < names.size(); ++i) result.emplace_back(names[i], tensors[first + i]);
  return result;
}

// Puts the state behind the results, and notes the names.
void add_state(const optimizers::State& state, Tensors& results, std::vector<std::string>& names) {
  names.assign(results.size(), "");
  for (const auto& [name, tensor] : state) {
    names.push_back(name);
    results.push_back(tensor);
  }
}

Callable optimizer_init_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  callable.call = [names = callable.names, optimizer = optimizer_of(env, fields),
                   parameters =
                       decode<std::vector<std::string>>(env, fields[4])](const Tensors& tensors) {
    Tensors results;
    add_state(optimizer.init_named(named(parameters, tensors, 0)), results, *names);
    return results;
  };
  return callable;
}

Callable optimizer_update_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  callable.call = [names = callable.names, optimizer = optimizer_of(env, fields),
                   parameters = decode<std::vector<std::string>>(env, fields[4]),
                   state_names =
                       decode<std::vector<std::string>>(env, fields[5])](const Tensors& tensors) {
    const std::size_t count = parameters.size();
    const nn::NamedTensors own = named(parameters, tensors, count);
    optimizers::State state;
    for (const auto& [name, tensor] : named(state_names, tensors, 2 * count))
      state.emplace(name, tensor);
    const Tensors gradients(tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(count));
    auto updated = optimizer.update_named(gradients, state, own);
    Tensors results = std::move(updated.parameters);
    add_state(updated.state, results, *names);
    return results;
  };
  return callable;
}

Callable clip_of(ErlNifEnv* env, const Term* fields) {
  return {[max_norm = decode<double>(env, fields[1])](const Tensors& tensors) {
    auto [results, norm] = optimizers::clip_tensors(tensors, max_norm);
    results.push_back(norm);
    return results;
  }};
}

struct Form {
  std::string_view name;
  int size;
  Callable (*decode)(ErlNifEnv* env, const Term* fields);
};
constexpr Form kForms[] = {
    {"function", 5, &function_of},
    {"layer", 6, &layer_of},
    {"layer_init", 3, &initial_of},
    {"optimizer_init", 5, &optimizer_init_of},
    {"optimizer_update", 6, &optimizer_update_of},
    {"clip_grad_norm", 2, &clip_of},
};

Callable callable_of(ErlNifEnv* env, Term term) {
  int size = 0;
  const Term* fields = nullptr;
  if (enif_get_tuple(env, term, &size, &fields) != 0 && size > 0) {
    const std::string name = decode<std::string>(env, fields[0]);
    for (const Form& form : kForms) {
      if (form.name == name && form.size == size) return form.decode(env, fields);
    }
  }
  throw_unexpected(term, "a callable");
}

ExecutablePtr nn_program(ErlNifEnv* env, Term term, std::vector<TensorType> types) {
  const Callable callable = callable_of(env, term);
  std::vector<program::Input> inputs;
  for (TensorType& type : types) inputs.push_back({.name = "", .type = std::move(type)});
  program::Trace trace;
  trace.run(inputs, callable.call, true);
  return make_ready(
      {.main = *transforms::cleaned(trace.finish()), .output_names = *callable.names});
}

// What an op does with operands of these types, made of others, as a program.
ExecutablePtr op_composed(ErlNifEnv* env, const ops::OpDef* row, std::vector<TensorType> operands,
                          Term keywords, std::vector<TensorType> outputs) {
  program::Instruction instruction;
  instruction.op = row;
  instruction.attrs = ops::normalise(decode_attrs(env, *row, keywords), row->attrs, row->name);
  instruction.outputs = std::move(outputs);
  return make_ready({.main = *transforms::composed(instruction, operands), .output_names = {}});
}

std::vector<std::string> names_of(const auto& described) {
  std::vector<std::string> names;
  for (const auto& one : described) names.emplace_back(one.name);
  return names;
}

// `{family, name, operands, options, options_of_calls}`, all names; the family of layers is
// "layer".
std::vector<Term> nn_rows(ErlNifEnv* env) {
  std::vector<Term> rows;
  const auto add = [&](std::string_view family, const auto& row, const auto& on_call) {
    rows.push_back(
        enif_make_tuple5(env, encode(env, std::string(family)), encode(env, std::string(row.name)),
                         encode(env, names_of(row.operands)), encode(env, names_of(row.options)),
                         encode(env, names_of(on_call))));
  };
  for (const nn::FunctionDef* row : nn::all_functions())
    add(nn::name(row->family), *row, std::span<const ops::AttrDef>());
  for (const nn::LayerDef* row : nn::all_layers()) add("layer", *row, row->on_call);
  struct Named {
    std::string_view name;
    std::span<const nn::OperandDef> operands = {};
    std::span<const ops::AttrDef> options;
  };
  for (const optimizers::OptimizerDef& row : optimizers::all_optimizers())
    add("optimizer", Named{.name = row.name, .options = row.options},
        std::span<const ops::AttrDef>());
  return rows;
}

// Tensors as the bytes of a .safetensors file, and back.
Term safetensors_encode(ErlNifEnv* env, std::vector<std::string> names, TensorList tensors,
                        std::vector<std::string> metadata) {
  const std::vector<Tensor> copies = tensors.copies();
  if (copies.size() != names.size() || metadata.size() % 2 != 0)
    throw ArgumentError("as many names as tensors are wanted, and keys with values");
  program::TensorFile file;
  for (std::size_t i = 0; i < names.size(); ++i) file.tensors.emplace(names[i], copies[i]);
  for (std::size_t i = 0; i < metadata.size(); i += 2)
    file.metadata.emplace(metadata[i], metadata[i + 1]);
  const std::vector<std::byte> bytes = program::to_bytes(file);
  Term term;
  std::memcpy(enif_make_new_binary(env, bytes.size(), &term), bytes.data(), bytes.size());
  return term;
}

Term safetensors_decode(ErlNifEnv* env, std::span<const std::byte> bytes) {
  const program::TensorFile file = program::tensor_file_from_bytes(bytes);
  std::vector<Term> tensors, metadata;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back(
        enif_make_tuple3(env, encode(env, name), encode(env, tensor.type()), encode(env, tensor)));
  }
  for (const auto& [key, value] : file.metadata)
    metadata.push_back(enif_make_tuple2(env, encode(env, key), encode(env, value)));
  return enif_make_tuple2(env, encode(env, tensors), encode(env, metadata));
}

}  // namespace

std::span<const ErlNifFunc> nn_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"nn_program", &nn_program, NeverQuick{}>(),
      nif_function<"nn_rows", &nn_rows>(),
      nif_function<"op_composed", &op_composed, NeverQuick{}>(),
      nif_function<"safetensors_encode", &safetensors_encode, NeverQuick{}>(),
      nif_function<"safetensors_decode", &safetensors_decode, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
