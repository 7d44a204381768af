// A stretch of instructions without control flow: one function that MLX traces and replays, once it
// has proved worth it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "mlxc/closure.h"
#include "ops/op_def.h"
#include "program/ir.h"

namespace mlxnx::program {

/// Thrown where a program that is run without an engine meets something to evaluate or to trace. It
/// is then run anew, in an engine's job.
struct NeedsEngine {};

/// Throws: NeedsEngine outside of a job of the current engine.
void require_engine();

/// What is made of a run's instructions.
enum class Building : std::uint8_t { kGraph, kFusedGraph, kAtOnce };

class StraightRun {
 public:
  /// `instructions` stand next to each other in a region whose value types are `types`; both must
  /// outlive the run. `inputs` are the values it reads, among them the captured tensors that are
  /// not inlined; `outputs` are those that others read.
  StraightRun(std::span<const Instruction> instructions, std::span<const TensorType> types,
              std::vector<ValueId> inputs, std::vector<ValueId> outputs);

  /// Inside an engine's job, unless the run is computed at once. Throws: what the ops' evaluators
  /// throw, BackendError, NeedsEngine.
  std::vector<mlxc::Array> operator()(std::span<const mlxc::Array> inputs,
                                      mlxc::CompileMode mode) const;

  /// Whether computing at once (mlxc/host_kernels.h) takes less time than a graph: all tensors are
  /// small, and so is the work.
  bool pays_at_once() const;

  /// Computes the outputs on the calling thread, any one; the inputs are computed.
  std::vector<mlxc::Array> compute_at_once(std::span<const mlxc::Array> inputs) const;

  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  std::size_t size() const { return instructions_.size(); }

  /// Whether no kernels have to be compiled before a run with `mode`.
  bool has_kernels(mlxc::CompileMode mode) const;

  /// Graph nodes that the last tracing built; 0 before the first.
  std::uint64_t node_count() const { return node_count_.load(std::memory_order_relaxed); }

  /// Of these nodes, at most so many read one another in a row.
  std::uint64_t longest_chain() const { return longest_chain_.load(std::memory_order_relaxed); }

 private:
  std::vector<mlxc::Array> run_fused(std::span<const mlxc::Array> inputs) const;
  std::vector<mlxc::Array> trace(std::span<const mlxc::Array> inputs, mlxc::CompileMode mode) const;
  std::vector<mlxc::Array> build(std::span<const mlxc::Array> inputs, Building building) const;
  const mlxc::CompiledClosure& closure(mlxc::CompileMode mode) const;
  bool may_fuse() const;

  std::span<const Instruction> instructions_;
  std::span<const TensorType> types_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  bool is_replayable_;
  bool uses_f64_;
  std::vector<ops::OutputTypes> targets_;  // of each instruction, where it may pay at once
  // Cleared when a kernel turns out to be missing.
  mutable std::atomic<bool> pays_at_once_;
  mutable std::atomic<std::uint64_t> node_count_{0};
  mutable std::atomic<std::uint64_t> longest_chain_{0};
  mutable std::atomic<std::uint32_t> runs_{0};  // of a long one, unfused
  mutable std::atomic<bool> kernels_are_made_{false};
  mutable std::atomic<bool> is_unfusable_{false};  // its kernels could not be made

  // For each device that graphs are built for, and for each mode.
  struct Slot {
    std::once_flag once;
    std::unique_ptr<mlxc::CompiledClosure> closure;
  };
  mutable std::array<Slot, 4> slots_;
};

/// Whether `instruction` may stand in a straight run.
bool is_straight(const Instruction& instruction);

/// Whether `instruction` folds with a function: a graph of unknown depth, which MLX would walk
/// recursively, and which is therefore a run of its own that is built anew for each call.
bool folds_with_function(const Instruction& instruction);

/// Whether the tensor is so small that graphs hold it as a number.
bool is_inlined(const Tensor& constant);

}  // namespace mlxnx::program
