// Graph programs: built from a term, made ready, run.
//
// A region is `{inputs, instructions, outputs}`: inputs `{id, name, {type, shape}}`, outputs ids,
// and instructions
// `{first_id, instruction}`, whose outputs are the ids from `first_id` on. Ids are integers that
// are unique in their region. An instruction is one of
//
//     {:op, name, operands, attributes, types, function_region_or_nil}
//     {:constant, tensor}
//     {:while, initial, captures, condition, body}
//     {:cond, predicates, captures, branches}
//     {:hook, callback, values}
//     {:runtime_call, callback, values, types}
//     {:stop_gradient, values}
//     {:custom_vjp, values, inputs, captures, backward_region}
//     {:custom_vjp, values, inputs, reason}, where there is no gradient
//     {:transform, name, parameters, operands, region}, where what the transform makes of the
//     region
//       comes to stand; nif/transform.h tells names and parameters
#include "nif/program.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "mlxc/engine.h"
#include "mlxnx/error.h"
#include "nif/callback.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/op_call.h"
#include "nif/region_term.h"
#include "nif/resource.h"
#include "nif/stream.h"
#include "nif/tensor.h"
#include "nif/transform.h"
#include "program/builder.h"
#include "program/printer.h"
#include "program/serializer.h"
#include "program/verifier.h"
#include "transforms/apply.h"

namespace mlxnx::nif {

namespace {

using program::ValueId;

class RegionDecoder {
 public:
  explicit RegionDecoder(ErlNifEnv* env, Term term, int depth = 0) : env_(env), depth_(depth) {
    // The verifier asks for less, once the term has been walked, on a stack that is small.
    if (depth > program::kMostNested) {
      throw ArgumentError("[program] regions stand more than " +
                          std::to_string(program::kMostNested) + " deep within each other");
    }
    const auto parts = decode_tuple(env, term, 3, "a region {inputs, instructions, outputs}");
    for (const Term input : decode<std::vector<Term>>(env, parts[0])) {
      const auto fields = decode_tuple(env, input, 3, "an input {id, name, {type, shape}}");
      ids_[decode<std::int64_t>(env, fields[0])] =
          builder_.input(decode<std::string>(env, fields[1]), decode<TensorType>(env, fields[2]));
    }
    for (const Term instruction : decode<std::vector<Term>>(env, parts[1])) {
      const auto fields = decode_tuple(env, instruction, 2, "{id, instruction}");
      std::int64_t id = decode<std::int64_t>(env, fields[0]);
      for (const ValueId value : add(fields[1])) ids_[id++] = value;
    }
    outputs_ = values(parts[2]);
  }

  std::shared_ptr<const program::Region> region() { return builder_.region(outputs_); }
  program::Program program(std::vector<std::string> output_names) {
    return builder_.program(outputs_, std::move(output_names));
  }

 private:
  std::vector<ValueId> add(Term instruction) {
    int arity = 0;
    const Term* fields = nullptr;
    if (!enif_get_tuple(env_, instruction, &arity, &fields) || arity == 0)
      throw_unexpected(instruction, "an instruction");
    const std::string kind = decode<std::string>(env_, fields[0]);
    if (kind == "op" && arity == 6) return add_op(fields);
    if (kind == "constant" && arity == 2)
      return {builder_.constant(*decode<TensorArg>(env_, fields[1]))};
    if (kind == "while" && arity == 5) {
      return builder_.while_loop(values(fields[1]), values(fields[2]), nested(fields[3]),
                                 nested(fields[4]));
    }
    if (kind == "cond" && arity == 4) {
      program::RegionBuilder::Regions branches;
      for (const Term branch : decode<std::vector<Term>>(env_, fields[3]))
        branches.push_back(nested(branch));
      return builder_.cond(values(fields[1]), values(fields[2]), std::move(branches));
    }
    if (kind == "hook" && arity == 3)
      return builder_.hook(decode<std::string>(env_, fields[1]), values(fields[2]));
    if (kind == "runtime_call" && arity == 4) {
      return builder_.runtime_call(decode<std::string>(env_, fields[1]), values(fields[2]),
                                   decode<std::vector<TensorType>>(env_, fields[3]));
    }
    if (kind == "stop_gradient" && arity == 2) return builder_.stop_gradient(values(fields[1]));
    if (kind == "custom_vjp" && arity == 5) return add_custom_vjp(fields);
    if (kind == "custom_vjp" && arity == 4) {
      return builder_.custom_vjp(values(fields[1]), values(fields[2]),
                                 decode<std::string>(env_, fields[3]));
    }
    if (kind == "transform" && arity == 5) return add_transformed(fields);
    throw_unexpected(instruction, "an instruction");
  }

  std::vector<ValueId> add_op(const Term* fields) {
    const auto* op = decode<const ops::OpDef*>(env_, fields[1]);
    const ops::Attrs attrs = decode_attrs(env_, *op, fields[3]);
    const auto types = decode<std::vector<TensorType>>(env_, fields[4]);
    std::shared_ptr<const program::Region> function;
    if (fields[5] != atoms.nil) function = nested(fields[5]);
    return builder_.ops(*op, values(fields[2]), attrs, types, std::move(function));
  }

  // A gradient that can't be served must not keep the program itself from running.
  std::vector<ValueId> add_custom_vjp(const Term* fields) {
    const auto refused = [&](const std::exception& error) {
      return builder_.custom_vjp(values(fields[1]), values(fields[2]), std::string(error.what()));
    };
    std::shared_ptr<const program::Region> backward;
    try {
      backward = nested(fields[4]);
    } catch (const ArgumentError& error) {
      return refused(error);
    } catch (const UnsupportedError& error) {
      return refused(error);
    }
    return builder_.custom_vjp(values(fields[1]), values(fields[2]), values(fields[3]),
                               std::move(backward));
  }

  std::vector<ValueId> add_transformed(const Term* fields) {
    const std::vector<ValueId> operands = values(fields[3]);
    const auto region =
        transformed(env_, decode<std::string>(env_, fields[1]), fields[2], *nested(fields[4]));
    if (operands.size() != region->inputs.size()) {
      throw ArgumentError("[program] a transformed region takes " +
                          std::to_string(region->inputs.size()) + " operands, got " +
                          std::to_string(operands.size()));
    }
    return builder_.append(*region, operands, region->outputs);
  }

  std::vector<ValueId> values(Term list) {
    std::vector<ValueId> values;
    for (const std::int64_t id : decode<std::vector<std::int64_t>>(env_, list)) {
      const auto found = ids_.find(id);
      if (found == ids_.end())
        throw ArgumentError("[program] nothing is called " + std::to_string(id));
      values.push_back(found->second);
    }
    return values;
  }

  std::shared_ptr<const program::Region> nested(Term term) {
    return RegionDecoder(env_, term, depth_ + 1).region();
  }

  ErlNifEnv* env_;
  int depth_;
  program::RegionBuilder builder_;
  std::unordered_map<std::int64_t, ValueId> ids_;
  std::vector<ValueId> outputs_;
};

// A run that a process waits for: cancelled when the process ends, be it in an endless loop.
class WatchedRun {
 public:
  explicit WatchedRun(ErlNifEnv* env)
      : env_(env), object_(Resource<program::Cancellation>::construct()) {
    ErlNifPid process;
    if (enif_self(env, &process) != nullptr)
      enif_monitor_process(env, object_, &process, &monitor_);
  }
  ~WatchedRun() {
    enif_demonitor_process(env_, object_, &monitor_);
    enif_release_resource(object_);
  }
  WatchedRun(const WatchedRun&) = delete;
  WatchedRun& operator=(const WatchedRun&) = delete;

  program::Cancellation& cancellation() { return *object_; }

 private:
  ErlNifEnv* env_;
  program::Cancellation* object_;
  ErlNifMonitor monitor_{};
};

void process_is_down(ErlNifEnv*, void* object, ErlNifPid*, ErlNifMonitor*) {
  static_cast<program::Cancellation*>(object)->cancel();
}

// What the programs that live hold.
std::atomic<std::size_t> live_programs{0};
std::atomic<std::size_t> live_bytes{0};

}  // namespace

ExecutablePtr make_ready(program::Program program) {
  auto executable = std::make_unique<const program::Executable>(std::move(program));
  live_programs.fetch_add(1, std::memory_order_relaxed);
  live_bytes.fetch_add(executable->captured_bytes(), std::memory_order_relaxed);
  return {executable.release(), [](const program::Executable* gone) {
            live_programs.fetch_sub(1, std::memory_order_relaxed);
            live_bytes.fetch_sub(gone->captured_bytes(), std::memory_order_relaxed);
            delete gone;
          }};
}

namespace {

bool has_control_flow(const program::Program& program) {
  return std::any_of(program.main.instructions.begin(), program.main.instructions.end(),
                     [](const program::Instruction& instruction) {
                       // The function of a reduce aside.
                       return instruction.kind != program::InstructionKind::kOp &&
                              !instruction.regions.empty();
                     });
}

std::vector<Tensor> run_watched(ErlNifEnv* env, const program::Executable& executable,
                                const std::vector<Tensor>& inputs) {
  if (!has_control_flow(executable.program())) return executable.run(inputs);
  WatchedRun run(env);
  return executable.run(inputs, {.cancellation = &run.cancellation()});
}

// The process that runs a program is its host.
class ProcessHost : public program::CallbackHost {
 public:
  explicit ProcessHost(CallbackSession& session) : session_(session) {}

  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    const bool is_hook = request.kind == program::InstructionKind::kHook;
    session_.call_later(
        std::string(request.callback), request.values,
        [reply = std::move(reply), is_hook](std::optional<std::vector<Tensor>> results) {
          if (results) {
            reply->answer(is_hook ? std::vector<Tensor>() : std::move(*results));
          } else {
            reply->fail(std::make_exception_ptr(BackendError("[program] a callback raised")));
          }
        });
  }

 private:
  CallbackSession& session_;
};

// NIF functions

ExecutablePtr program_build(ErlNifEnv* env, Term region, std::vector<std::string> output_names) {
  return make_ready(RegionDecoder(env, region).program(std::move(output_names)));
}

std::size_t bytes_of(std::span<const TensorType> types) {
  std::size_t bytes = 0;
  for (const TensorType& type : types) bytes += byte_count(type);
  return bytes;
}

using Handles = std::vector<TensorHandle*>;

// Donated inputs are given back here, in whose memory results may lie: such make no garbage.
Term answer(ErlNifEnv* env, const std::vector<Tensor>& results, const Handles& donated) {
  std::size_t bytes = 0;
  for (const Tensor& result : results) bytes += byte_count(result.type());
  const std::size_t given_back = deallocate(donated);
  return with_pressure(env, note_built(bytes - std::min(bytes, given_back)), encode(env, results));
}

Term program_run(ErlNifEnv* env, ExecutablePtr executable, TensorList inputs, Handles donated,
                 Where where) {
  const WhereScope scope(where);
  return answer(env, run_watched(env, *executable, inputs.copies()), donated);
}

std::optional<Term> try_program_run(ErlNifEnv* env, const ExecutablePtr& executable,
                                    const TensorList& inputs, const Handles& donated,
                                    const Where& where) {
  const WhereScope scope(where);
  const auto results = executable->try_run(inputs.copies());
  return results ? std::optional(answer(env, *results, donated)) : std::nullopt;
}

bool program_lasts(ErlNifEnv*, ExecutablePtr executable) { return executable->lasts(); }

Term program_run_with_callbacks(ErlNifEnv* env, Term ref, ExecutablePtr executable,
                                TensorList inputs, Where where) {
  const Pressure pressure = note_built(bytes_of(executable->program().main.output_types()));
  const Term session = CallbackSession::start(
      env, ref, [executable, inputs = inputs.copies(), where](CallbackSession& session) {
        const WhereScope scope(where);
        ProcessHost host(session);
        program::Cancellation cancellation;
        mlxc::Engine& engine = mlxc::Engine::current();
        session.on_cancel([&] {
          cancellation.cancel();
          engine.wake();
        });
        struct Forget {
          CallbackSession& session;
          ~Forget() { session.on_cancel(nullptr); }
        } const forget{session};
        std::vector<Tensor> results =
            executable->run(inputs, {.host = &host, .cancellation = &cancellation});
        return results;
      });
  return with_pressure(env, pressure, session);
}

std::string program_text(ErlNifEnv*, ExecutablePtr executable) {
  return to_text(executable->program());
}

std::string program_dot(ErlNifEnv*, ExecutablePtr executable) {
  return to_dot(executable->program());
}

std::string serialized(const program::Program& program) {
  const std::vector<std::byte> bytes = program::serialize(program);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string program_serialize(ErlNifEnv*, ExecutablePtr executable) {
  return serialized(executable->program());
}

program::Program renamed(const program::Program& of, std::vector<std::string> input_names) {
  program::Program program = of;
  std::vector<program::Input>& inputs = program.main.inputs;
  if (input_names.size() != inputs.size()) {
    throw ArgumentError("expected " + std::to_string(inputs.size()) + " names of inputs, got " +
                        std::to_string(input_names.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].name = std::move(input_names[i]);
  return program;
}

// With other names for the inputs.
std::string program_serialize_as(ErlNifEnv*, ExecutablePtr executable,
                                 std::vector<std::string> input_names) {
  return serialized(renamed(executable->program(), std::move(input_names)));
}

ExecutablePtr program_renamed(ErlNifEnv*, ExecutablePtr executable,
                              std::vector<std::string> input_names) {
  return make_ready(renamed(executable->program(), std::move(input_names)));
}

ExecutablePtr program_deserialize(ErlNifEnv*, std::span<const std::byte> bytes) {
  return make_ready(program::deserialize(bytes));
}

// As program_build takes it.
Term program_region(ErlNifEnv* env, ExecutablePtr executable) {
  return region_term(env, executable->program().main);
}

// What a transform makes of the whole program.
ExecutablePtr program_transform(ErlNifEnv* env, ExecutablePtr executable, std::string name,
                                Term parameters) {
  const auto region = transformed(env, name, parameters, executable->program().main);
  return make_ready({.main = *region, .output_names = {}});
}

// The callbacks of a region and those within, as `{name, [{type, shape}]}`, what each is told.
void collect_callbacks(ErlNifEnv* env, const program::Region& region,
                       std::vector<Term>& callbacks) {
  const std::vector<TensorType> types = region.value_types();
  for (const program::Instruction& instruction : region.instructions) {
    if (!instruction.callback.empty()) {
      std::vector<TensorType> told;
      for (const ValueId id : instruction.operands) told.push_back(types[id]);
      callbacks.push_back(
          enif_make_tuple2(env, encode(env, instruction.callback), encode(env, told)));
    }
    for (const auto& nested : instruction.regions) collect_callbacks(env, *nested, callbacks);
  }
}

// Inputs as `{name, {type, shape}}`, outputs as `{type, shape}`.
Term program_signature(ErlNifEnv* env, ExecutablePtr executable) {
  std::vector<Term> inputs;
  for (const program::Input& input : executable->program().main.inputs) {
    inputs.push_back(enif_make_tuple2(env, encode(env, input.name), encode(env, input.type)));
  }
  const std::vector<TensorType> outputs = executable->program().main.output_types();
  return enif_make_tuple2(env, encode(env, inputs), encode(env, outputs));
}

std::vector<std::string> program_output_names(ErlNifEnv*, ExecutablePtr executable) {
  return executable->program().output_names;
}

std::vector<Term> program_callbacks(ErlNifEnv* env, ExecutablePtr executable) {
  std::vector<Term> callbacks;
  collect_callbacks(env, executable->program().main, callbacks);
  return callbacks;
}

Bytes program_bytes(ErlNifEnv*, ExecutablePtr executable) { return {executable->captured_bytes()}; }

// How many there are, and the bytes that they hold.
Term program_memory(ErlNifEnv* env) {
  return enif_make_tuple2(env, enif_make_uint64(env, live_programs.load()),
                          enif_make_uint64(env, live_bytes.load()));
}

// What an op does with operands of these types, made of others, as a program.
ExecutablePtr op_composed(ErlNifEnv* env, const ops::OpDef* row, std::vector<TensorType> operands,
                          Term keywords, std::vector<TensorType> outputs) {
  program::Instruction instruction;
  instruction.op = row;
  instruction.attrs = ops::normalise(decode_attrs(env, *row, keywords), row->attrs, row->name);
  instruction.outputs = program::OutputTypes(outputs);
  return make_ready({.main = *transforms::composed(instruction, operands), .output_names = {}});
}

}  // namespace

bool open_program_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<ExecutablePtr>::open(env, "program", flags) &&
         Resource<program::Cancellation>::open(env, "run", flags, &process_is_down);
}

std::span<const ErlNifFunc> program_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"program_build", &program_build, NeverQuick{}>(),
      nif_function<"program_lasts", &program_lasts>(),
      nif_function<"program_run", &program_run, &try_program_run>(),
      nif_function<"program_run_with_callbacks", &program_run_with_callbacks>(),
      nif_function<"program_text", &program_text, NeverQuick{}>(),
      nif_function<"program_dot", &program_dot, NeverQuick{}>(),
      nif_function<"program_serialize", &program_serialize, NeverQuick{}>(),
      nif_function<"program_serialize_as", &program_serialize_as, NeverQuick{}>(),
      nif_function<"program_renamed", &program_renamed, NeverQuick{}>(),
      nif_function<"program_deserialize", &program_deserialize, NeverQuick{}>(),
      nif_function<"program_region", &program_region, NeverQuick{}>(),
      nif_function<"program_transform", &program_transform, NeverQuick{}>(),
      nif_function<"program_signature", &program_signature>(),
      nif_function<"program_output_names", &program_output_names>(),
      nif_function<"program_callbacks", &program_callbacks>(),
      nif_function<"program_bytes", &program_bytes>(),
      nif_function<"program_memory", &program_memory>(),
      nif_function<"op_composed", &op_composed, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
