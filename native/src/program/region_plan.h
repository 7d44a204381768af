// A region made ready to run: straight runs, and between them the steps that need the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "program/executable.h"
#include "program/straight_run.h"
#include "tensor/node.h"

namespace mlxnx::program {

/// One run of a program, on its way through the regions.
class RunState {
 public:
  RunState(const RunOptions& options, Fusion fusion, bool is_hot);

  CallbackHost* host() const { return options_.host; }
  /// How straight runs are to be replayed now.
  mlxc::CompileMode mode() const { return mode_; }

  /// Between instructions. Throws: BackendError when the run was cancelled.
  void check_cancelled() const {
    if (is_cancelled()) [[unlikely]]
      throw_cancelled();
  }
  bool is_cancelled() const {
    return options_.cancellation != nullptr && options_.cancellation->is_cancelled();
  }

  /// Counts graph nodes that wait for evaluation.
  void add_nodes(std::uint64_t count, tensors::Work work) {
    waiting_nodes_ += count;
    waiting_work_ = tensors::add_work(waiting_work_, work);
  }
  /// After an iteration of a loop: starts the evaluation of `values` when much has gathered, so
  /// that memory stays bounded.
  void after_iteration(std::span<const mlxc::Array> values);

 private:
  [[noreturn]] static void throw_cancelled();

  const RunOptions& options_;
  mlxc::CompileMode mode_ = mlxc::CompileMode::kReplay;
  bool may_turn_hot_;
  std::uint64_t waiting_nodes_ = 0;
  tensors::Work waiting_work_ = 0;
  std::uint64_t iterations_ = 0;
  std::chrono::steady_clock::time_point start_;
};

class LoopPlan;
class ReverseLoop;

/// A rough bound on the time that a region takes, in nanoseconds; much for control flow.
tensors::Work estimated_work(const Region& region);

class RegionPlan {
 public:
  explicit RegionPlan(std::shared_ptr<const Region> region);
  RegionPlan(RegionPlan&&) noexcept;
  ~RegionPlan();

  /// Inside an engine's job, unless all of it is computed at once. Inputs and outputs have the
  /// region's types; MLX's bool may stand for u8. Throws: NeedsEngine.
  std::vector<mlxc::Array> run(RunState& state, std::span<const mlxc::Array> inputs) const;

  /// Whether all straight runs, those of loops and branches too, pay at once, and there are no
  /// callbacks.
  bool pays_at_once() const;
  /// The same where of the branches outside of loops one is enough: another one, if it is taken,
  /// throws NeedsEngine before it begins.
  bool may_pay_at_once() const;
  bool has_loops() const;

  /// The only step when the region is a single straight run, else null.
  const StraightRun* only_run() const;
  const Region& region() const { return *region_; }

 private:
  struct Recordings;  // of loops that a later step goes back through
  struct Step {
    std::unique_ptr<StraightRun> run;  // or
    tensors::Work work = 0;            // of the run
    const Instruction* control = nullptr;
    std::vector<RegionPlan> branches;      // of a cond, or a checkpoint's only one
    std::unique_ptr<LoopPlan> loop;        // of a while
    std::unique_ptr<ReverseLoop> reverse;  // of a while_reverse
    std::optional<std::size_t> twin;  // of a while: the while_reverse that goes back through it;
                                      // of that: itself, when it has such a while
    std::vector<ValueId> dead;        // values that no later step reads
  };

  std::vector<mlxc::Array> run_control(const Step& step, std::span<const mlxc::Array> operands,
                                       RunState& state, Recordings& recordings) const;
  template <typename Branches>
  bool steps_pay_at_once(Branches branches_pay) const;
  void find_twin(std::size_t reverse);
  void cut();
  void add_run(std::size_t begin, std::size_t end);
  void add_control(const Instruction& instruction);
  void find_dead_values();
  std::span<const ValueId> read_by(const Step& step) const;

  std::shared_ptr<const Region> region_;
  std::vector<TensorType> types_;
  std::vector<const Instruction*> constants_;
  std::vector<std::size_t> last_reader_;  // index of an instruction, by value
  std::vector<Step> steps_;
};

}  // namespace mlxnx::program
