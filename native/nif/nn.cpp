// What mlxnx::nn has by name, as programs. A callable, a function of tensors in their order, is one
// of
//
//     {:function, family, name, given, options}  of the operands that are given; `given` holds a
//                                                boolean for each of the first
//     {:layer, name, options, forms, parameters, given, on_call}
//                                                of the parameters, whose names are listed, and the
//                                                operands; answers the outputs, and then the
//                                                tensors of the layer that change, which have names
//     {:layer_init, name, options, forms}        of a key; answers the parameters, which have names
//     {:layer_reform, name, options, forms, next_forms, path, parameters}
//                                                of the parameters, whose names are listed, and a
//                                                key for new ones; answers those of the layer with
//                                                the matrices that the next forms name in these,
//                                                which have names; errors name layers below the
//                                                path
//     {:optimizer_init, name, options, schedule, parameters}
//                                                of the parameters, whose names are listed; answers
//                                                the state, which has names
//     {:optimizer_update, name, options, schedule, parameters, state}
//                                                of a gradient for each parameter, the parameters
//                                                and the state, whose names are listed; answers the
//                                                parameters, and then the state, which has names
//     {:clip_grad_norm, max_norm}                of gradients; answers them, and their norm
//
// Forms are those of a layer's matrices that are not dense, each {name, quantization, change,
// options}: nil or the options of `quantize`, and nil, or :to_lora or :to_dora with the options of
// these.
//
// A schedule is nil where the learning rate is a number, {name, options}, or
// {:join_schedules, schedules, boundaries}.
#include <functional>
#include <optional>
#include <set>
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
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/matrix_forms.h"
#include "nn/optimizers/optimizer_def.h"
#include "nn/options.h"
#include "nn/quantization_form.h"
#include "program/trace.h"
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

// A keyword list as a struct of options.
template <typename Options>
Options options_of(ErlNifEnv* env, std::string_view owner, Term keywords) {
  const auto schema = nn::schema_of<Options>();
  const ops::Attrs given = decode_attrs(env, owner, schema, keywords, true);
  return nn::options_from<Options>(nn::complete(given, schema, owner), owner);
}

nn::MatrixForms forms_of(ErlNifEnv* env, Term term) {
  nn::MatrixForms forms;
  for (const Term each : decode<std::vector<Term>>(env, term)) {
    const auto fields = decode_tuple(env, each, 4, "a form {name, quantization, change, options}");
    nn::MatrixForm& form = forms[decode<std::string>(env, fields[0])];
    if (fields[1] != atoms.nil)
      form.quantization = options_of<Quantization>(env, "quantize", fields[1]);
    if (fields[2] != atoms.nil) {
      const std::string change = decode<std::string>(env, fields[2]);
      form.lora = options_of<nn::LoraOptions>(env, change, fields[3]);
      form.has_lengths = change == "to_dora";
    }
  }
  return forms;
}

/// A layer without its weights: a row, the options, and the forms of its matrices.
struct Described {
  const nn::LayerDef& row;
  ops::Attrs options;
  nn::MatrixForms forms;

  std::shared_ptr<const nn::Layer> drawn(const Tensor& key) const {
    const auto layer = nn::make(row, options, key);
    if (forms.empty()) return layer;
    return nn::with_forms(*layer, forms, nn::split_key(key, 3, row.name).back());
  }
  /// With the tensors from the first on; the key does not matter, since all weights are replaced.
  std::shared_ptr<const nn::Layer> with(const std::vector<std::string>& names,
                                        const Tensors& tensors) const {
    nn::Parameters parameters;
    require_more(tensors, names.size());
    for (std::size_t i = 0; i < names.size(); ++i) parameters.emplace(names[i], tensors[i]);
    return drawn(constant(0, DType::u32, {2}))->with(parameters, true);
  }
};

// From a name, options and forms.
Described described(ErlNifEnv* env, const Term* fields) {
  const nn::LayerDef& row = nn::layer(decode<std::string>(env, fields[0]));
  return {row, decode_attrs(env, row.name, row.options, fields[1], true), forms_of(env, fields[2])};
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

// Puts tensors with names behind the results, and notes these.
void add_named(const auto& named, Tensors& results, std::vector<std::string>& names) {
  names.assign(results.size(), "");
  for (const auto& [name, tensor] : named) {
    names.push_back(name);
    results.push_back(tensor);
  }
}

Callable layer_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  const Described layer = described(env, fields + 1);
  callable.call = [layer, names = callable.names,
                   parameters = decode<std::vector<std::string>>(env, fields[4]),
                   given = booleans(env, fields[5]),
                   on_call = decode_attrs(env, layer.row.name, layer.row.on_call, fields[6], true)](
                      const Tensors& tensors) {
    const auto made = layer.with(parameters, tensors);
    nn::LayerAnswer answer =
        nn::call(*made, operands_of(given, tensors, parameters.size()), on_call);
    Tensors results = std::move(answer.outputs);
    add_named(answer.state, results, *names);
    return results;
  };
  return callable;
}

// The parameters of a layer as results, whose names are noted.
Tensors parameters_of(const nn::Layer& layer, std::vector<std::string>& names) {
  Tensors results;
  add_named(layer.parameters(), results, names);
  return results;
}

Callable initial_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  callable.call = [layer = described(env, fields + 1),
                   names = callable.names](const Tensors& tensors) {
    require_more(tensors, 1);
    return parameters_of(*layer.drawn(tensors[0]), *names);
  };
  return callable;
}

Callable reformed_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  callable.call = [layer = described(env, fields + 1), next = forms_of(env, fields[4]),
                   path = decode<std::string>(env, fields[5]),
                   parameters = decode<std::vector<std::string>>(env, fields[6]),
                   names = callable.names](const Tensors& tensors) {
    require_more(tensors, parameters.size() + 1);
    const auto now = layer.with(parameters, tensors);
    return parameters_of(*nn::with_forms(*now, next, tensors[parameters.size()], path), *names);
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

Callable optimizer_init_of(ErlNifEnv* env, const Term* fields) {
  Callable callable;
  callable.call = [names = callable.names, optimizer = optimizer_of(env, fields),
                   parameters =
                       decode<std::vector<std::string>>(env, fields[4])](const Tensors& tensors) {
    Tensors results;
    add_named(optimizer.init_named(named(parameters, tensors, 0)), results, *names);
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
    add_named(updated.state, results, *names);
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
    {"layer", 7, &layer_of},
    {"layer_init", 4, &initial_of},
    {"layer_reform", 7, &reformed_of},
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

// The names of the layers within a layer that have a matrix.
std::vector<std::string> nn_matrices(ErlNifEnv* env, std::string name, Term options) {
  const nn::LayerDef& row = nn::layer(name);
  const ops::Attrs given = decode_attrs(env, row.name, row.options, options, true);
  std::vector<std::string> names;
  program::Trace trace;
  // Traced, so that no weight is drawn.
  const auto note = [&](const Tensors&) {
    names = nn::matrices_of(*nn::make(row, given, constant(0, DType::u32, {2})));
    return Tensors();
  };
  trace.run({}, note, true);
  return names;
}

// What tensors of these names are to training: "statistic", "adapter", or else "parameter".
std::vector<std::string> nn_roles(ErlNifEnv*, std::vector<std::string> names) {
  for (std::string& name : names)
    name = nn::is_statistic(name) ? "statistic" : nn::is_adapter(name) ? "adapter" : "parameter";
  return names;
}

// The table of tensors of these names and types, of which some are trained.
std::string nn_summary(ErlNifEnv*, std::vector<std::string> names, std::vector<TensorType> types,
                       std::vector<std::string> trained) {
  if (names.size() != types.size()) throw ArgumentError("as many names as types are wanted");
  nn::NamedTensors tensors;
  for (std::size_t i = 0; i < names.size(); ++i)
    tensors.emplace_back(names[i], constant(0, types[i].dtype, types[i].shape));
  const std::set<std::string, std::less<>> which(trained.begin(), trained.end());
  return nn::naming::summary(tensors, [&](std::string_view name) { return which.contains(name); });
}

}  // namespace

std::span<const ErlNifFunc> nn_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"nn_program", &nn_program, NeverQuick{}>(),
      nif_function<"nn_rows", &nn_rows>(),
      nif_function<"nn_matrices", &nn_matrices, NeverQuick{}>(),
      nif_function<"nn_roles", &nn_roles>(),
      nif_function<"nn_summary", &nn_summary>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
