// Graph programs: flat lists of instructions in single assignment form. Values only; nothing here
// touches MLX. A region is a function of tensors; a program is one with names. Regions are closed:
// whatever they read comes in through their inputs, also what a loop body or a branch takes from
// around it. Read next: builder.h (making them), verifier.h (their rules), executable.h (running).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/inline_vector.h"
#include "mlxnx/tape.h"
#include "mlxnx/tensor.h"
#include "ops/op_def.h"

namespace mlxnx::program {

/// Names a value of one region: an input, a constant, or an output of an instruction.
using ValueId = std::uint32_t;

/// What an instruction is. Files hold the names, never the numbers.
enum class InstructionKind : std::uint8_t {
  kOp,            ///< a row of the registry
  kConstant,      ///< a captured tensor
  kWhile,         ///< regions: condition, body
  kCond,          ///< regions: one per predicate, and the last for when none holds
  kHook,          ///< tells the host about tensors and passes them on
  kRuntimeCall,   ///< tensors that the host computes from tensors
  kStopGradient,  ///< passes tensors on, and no gradient back
  kCustomVjp,     ///< passes tensors on; region: where their gradient goes instead
  kCheckpoint,    ///< region: computed as a piece, and again where its gradient is
  kWhileReverse,  ///< regions: condition, body, and what is done with each iteration, last first
};

/// Most instructions have few operands and one output.
using Operands = InlineVector<ValueId, 4>;
using OutputTypes = InlineVector<TensorType, 1>;

struct Region;

/// One instruction. Its outputs are the values `first`, `first + 1`, …. Operands and regions:
///
/// - op: the op's operands, then what its region captures. The region is the function of reduce and
///   window_reduce: (element, accumulator, captures…) -> accumulator.
/// - while: the initial state, then captures. Regions: condition (state…, captures…) -> scalar, and
///   body (state…, captures…) -> state.
/// - cond: the scalar predicates, then captures. A region for each predicate, and one more:
///   (captures…) -> outputs.
/// - hook, runtime_call: what the host gets.
/// - stop_gradient: what it passes on.
/// - custom_vjp: the `values` that it passes on, the inputs that get their gradient, then captures.
///   Region: (cotangents of the values…, captures…) -> cotangents of the inputs. Values and
///   captures get no gradient by it. Without a region there is no gradient, and `callback` says
///   why.
/// - checkpoint: what its region takes. Region: (operands…) -> outputs.
/// - while_reverse: the initial state, captures, then `values` tensors that are carried back.
/// Regions:
///   condition and body of a while, and (state before an iteration…, captures…, carried…) ->
///   carried, called for the last iteration first. Its outputs are the carried tensors.
struct Instruction {
  InstructionKind kind = InstructionKind::kOp;
  const ops::OpDef* op = nullptr;  ///< of kOp
  Operands operands;
  ops::Attrs attrs;  ///< of kOp: normalised; a function stands in `regions`
  std::vector<std::shared_ptr<const Region>> regions;
  OutputTypes outputs;  ///< may differ in type from what the op's rules answer
  ValueId first = 0;
  std::uint32_t predicates = 0;    ///< of kCond
  std::uint32_t values = 0;        ///< of kCustomVjp and kWhileReverse
  Tape tape = Tape::kAll;          ///< of kWhileReverse
  std::string callback;            ///< of kHook and kRuntimeCall: the host's name for it
  std::optional<Tensor> constant;  ///< of kConstant

  /// The op's name, or "while", "cond", …
  std::string_view name() const;
};

struct Input {
  std::string name;  ///< may be empty
  TensorType type;
};

struct Region {
  std::vector<Input> inputs;  ///< values 0, 1, …
  std::vector<Instruction> instructions;
  std::vector<ValueId> outputs;

  std::size_t value_count() const;
  /// Types of all values, by id.
  std::vector<TensorType> value_types() const;
  std::vector<TensorType> output_types() const;
};

struct Program {
  Region main;
  std::vector<std::string> output_names;  ///< empty, or one for each output
};

/// "while", "cond", "hook", …; empty for kOp.
std::string_view name(InstructionKind kind);

/// The kind called `text`; kOp for any other name.
InstructionKind kind_from_name(std::string_view text);

/// "all", "sqrt", "recompute".
std::string_view name(Tape tape);

/// Throws: ArgumentError for another name.
Tape tape_from_name(std::string_view text);

/// What a gradient by a value of this type is made of: the type itself, and f32 for integers.
TensorType cotangent_type(const TensorType& type);

/// An instruction that computes `piece` as a checkpoint.
Instruction checkpoint_of(std::shared_ptr<const Region> piece);

/// Whether the host is told or asked something, in nested regions too: such an instruction runs
/// though nobody reads what it answers.
bool has_effects(const Instruction& instruction);

/// How many of an op's operands are the op's own; the rest is what its region captures.
std::size_t own_operands(const Instruction& instruction);

}  // namespace mlxnx::program
