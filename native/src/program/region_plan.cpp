#include "program/region_plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "program/control.h"
#include "program/loop_plan.h"
#include "program/reverse_loop.h"
#include "program/rewrite.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

// MLX walks the graph of a run recursively when it traces.
constexpr std::size_t kLongestRun = 4096;

// Nodes that may wait before their evaluation is started, and the work that may: nobody else gets
// his turn in between.
constexpr std::uint64_t kMostWaiting = 1024;
constexpr tensors::Work kMostWaitingWork = 20'000'000;

// From then on a loop is worth fused kernels, which take a compiler about a second each.
constexpr auto kLongLoop = std::chrono::milliseconds(500);

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max() - 1;
constexpr std::size_t kAtEnd = std::numeric_limits<std::size_t>::max();

}  // namespace

namespace {
tensors::Work estimated_work(std::span<const Instruction> instructions,
                             std::span<const TensorType> types) {
  tensors::Work work = 0;
  for (const Instruction& instruction : instructions) {
    if (instruction.kind == InstructionKind::kConstant) continue;
    if (instruction.kind != InstructionKind::kOp) return tensors::kMuchWork;
    std::vector<ops::Operand> operands;
    for (const ValueId id : instruction.operands) operands.push_back({&types[id]});
    work = tensors::add_work(work, ops::work_of(*instruction.op, operands, instruction.outputs));
  }
  return work;
}
}  // namespace

tensors::Work estimated_work(const Region& region) {
  return estimated_work(region.instructions, region.value_types());
}

RunState::RunState(const RunOptions& options, Fusion fusion, bool is_hot)
    : options_(options), may_turn_hot_(fusion == Fusion::kWhenHot && !is_hot) {
  if (may_turn_hot_) start_ = std::chrono::steady_clock::now();
  const bool wants_fusion = fusion == Fusion::kAlways || (fusion == Fusion::kWhenHot && is_hot);
  if (wants_fusion) mode_ = mlxc::CompileMode::kFuse;
}

void RunState::throw_cancelled() {
  throw BackendError("[program] cancelled: nobody waits for the result any more");
}

void RunState::after_iteration(std::span<const Array> values) {
  check_cancelled();
  mlxc::Engine& engine = mlxc::Engine::current();
  if (waiting_nodes_ >= kMostWaiting || waiting_work_ >= kMostWaitingWork) {
    require_engine();
    engine.set_backlog(true);
    mlxc::async_eval(mlxc::ArrayVector(values));
    waiting_nodes_ = 0;
    waiting_work_ = 0;
  }
  if (engine.has_waiting()) engine.give_way();
  constexpr std::uint64_t kBetweenLooksAtTheClock = 16;
  if (!may_turn_hot_ || ++iterations_ % kBetweenLooksAtTheClock != 0) return;
  if (std::chrono::steady_clock::now() - start_ < kLongLoop) return;
  may_turn_hot_ = false;
  mode_ = mlxc::CompileMode::kFuse;
}

RegionPlan::RegionPlan(std::shared_ptr<const Region> region)
    : region_(rewritten(std::move(region))), types_(region_->value_types()) {
  const std::vector<Instruction>& instructions = region_->instructions;
  last_reader_.assign(types_.size(), kNever);
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i].kind == InstructionKind::kConstant) constants_.push_back(&instructions[i]);
    for (const ValueId id : instructions[i].operands) last_reader_[id] = i;
  }
  for (const ValueId id : region_->outputs) last_reader_[id] = kAtEnd;
  cut();
  find_dead_values();
}

void RegionPlan::cut() {
  const std::vector<Instruction>& instructions = region_->instructions;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const Instruction& instruction = instructions[i];
    if (is_straight(instruction) && !folds_with_function(instruction)) {
      if (i - begin < kLongestRun) continue;
      add_run(begin, i);
      begin = i;
      continue;
    }
    add_run(begin, i);
    begin = i + 1;
    if (is_straight(instruction)) {
      add_run(i, i + 1);
    } else {
      add_control(instruction);
    }
  }
  add_run(begin, instructions.size());
}

void RegionPlan::add_run(std::size_t begin, std::size_t end) {
  const std::span instructions(region_->instructions.data() + begin, end - begin);
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<bool> inside(types_.size(), false);
  std::vector<bool> listed(types_.size(), false);
  const auto read = [&](ValueId id) {
    if (inside[id] || listed[id]) return;
    listed[id] = true;
    inputs.push_back(id);
  };
  for (const Instruction& instruction : instructions) {
    for (const ValueId id : instruction.operands) read(id);
    if (instruction.kind == InstructionKind::kConstant) {
      const bool used = last_reader_[instruction.first] != kNever;
      if (used && !is_inlined(*instruction.constant)) read(instruction.first);
      inside[instruction.first] = true;
      continue;
    }
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i) {
      const ValueId id = instruction.first + static_cast<ValueId>(i);
      inside[id] = true;
      if (last_reader_[id] != kNever && last_reader_[id] >= end) outputs.push_back(id);
    }
  }
  if (outputs.empty()) return;
  Step step;
  step.work = estimated_work(instructions, types_);
  step.run =
      std::make_unique<StraightRun>(instructions, types_, std::move(inputs), std::move(outputs));
  steps_.push_back(std::move(step));
}

void RegionPlan::add_control(const Instruction& instruction) {
  Step step;
  step.control = &instruction;
  if (instruction.kind == InstructionKind::kWhile) {
    step.loop = std::make_unique<LoopPlan>(instruction.regions[0], instruction.regions[1]);
  } else if (instruction.kind == InstructionKind::kWhileReverse) {
    step.reverse = std::make_unique<ReverseLoop>(instruction);
  } else {
    for (const auto& region : instruction.regions) step.branches.emplace_back(region);
  }
  steps_.push_back(std::move(step));
  if (steps_.back().reverse != nullptr) find_twin(steps_.size() - 1);
}

// A while with the same state, captures and regions is run once for both.
void RegionPlan::find_twin(std::size_t reverse) {
  const Instruction& there_and_back = *steps_[reverse].control;
  for (std::size_t i = 0; i < reverse; ++i) {
    if (steps_[i].loop == nullptr || steps_[i].twin) continue;
    const Instruction& loop = *steps_[i].control;
    const bool is_same =
        std::equal(loop.regions.begin(), loop.regions.end(), there_and_back.regions.begin()) &&
        loop.operands.size() + there_and_back.values == there_and_back.operands.size() &&
        std::equal(loop.operands.begin(), loop.operands.end(), there_and_back.operands.begin());
    if (!is_same) continue;
    steps_[i].twin = steps_[reverse].twin = reverse;
    return;
  }
}

struct RegionPlan::Recordings {
  std::map<std::size_t, ReverseLoop::Recording> by_step;  // of a while_reverse
};

std::span<const ValueId> RegionPlan::read_by(const Step& step) const {
  if (step.run != nullptr) return step.run->inputs();
  return step.control->operands;
}

// A value dies with the last step that reads it, so that its memory can be used again.
void RegionPlan::find_dead_values() {
  std::vector<bool> is_read_later(types_.size(), false);
  for (const ValueId id : region_->outputs) is_read_later[id] = true;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    for (const ValueId id : read_by(*step)) {
      if (!is_read_later[id]) step->dead.push_back(id);
      is_read_later[id] = true;
    }
  }
}

std::vector<Array> RegionPlan::run(RunState& state, std::span<const Array> inputs) const {
  std::vector<Array> values(types_.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) values[i] = Array::view(inputs[i]);
  for (const Instruction* constant : constants_)
    values[constant->first] = Array::view(constant->constant->node().array);
  std::vector<Array> operands;
  Recordings recordings;
  for (const Step& step : steps_) {
    operands.clear();
    const bool is_run = step.run != nullptr;
    for (const ValueId id : read_by(step)) operands.push_back(Array::view(values[id]));
    if (is_run) {
      std::vector<Array> results = (*step.run)(operands, state.mode());
      // What was computed at once waits for nothing.
      if (!std::all_of(results.begin(), results.end(), mlxc::is_computed))
        state.add_nodes(step.run->node_count(), step.work);
      for (std::size_t i = 0; i < results.size(); ++i)
        values[step.run->outputs()[i]] = std::move(results[i]);
    } else {
      state.check_cancelled();
      std::vector<Array> results = run_control(step, operands, state, recordings);
      for (std::size_t i = 0; i < results.size(); ++i)
        values[step.control->first + i] = std::move(results[i]);
    }
    for (const ValueId id : step.dead) values[id] = Array();
  }
  std::vector<Array> outputs;
  outputs.reserve(region_->outputs.size());
  for (const ValueId id : region_->outputs) outputs.emplace_back(std::as_const(values[id]));
  return outputs;
}

std::vector<Array> RegionPlan::run_control(const Step& step, std::span<const Array> operands,
                                           RunState& state, Recordings& recordings) const {
  if (step.reverse != nullptr) {
    if (!step.twin) return step.reverse->run(state, operands);
    return step.reverse->back(state, operands, recordings.by_step[*step.twin]);
  }
  if (step.loop != nullptr && step.twin)
    return steps_[*step.twin].reverse->record(state, operands, recordings.by_step[*step.twin]);
  if (step.loop != nullptr) return step.loop->run(state, operands);
  if (step.control->kind == InstructionKind::kCheckpoint)
    return step.branches.front().run(state, operands);
  if (step.control->kind == InstructionKind::kCond)
    return run_cond(*step.control, step.branches, operands, state);
  std::vector<TensorType> types;
  for (const ValueId id : step.control->operands) types.push_back(types_[id]);
  return run_callback(*step.control, operands, types, state);
}

// What `branches_pay` says of all steps that are no straight runs or loops.
template <typename Branches>
bool RegionPlan::steps_pay_at_once(Branches branches_pay) const {
  return std::all_of(steps_.begin(), steps_.end(), [&](const Step& step) {
    if (step.run != nullptr) return step.run->pays_at_once();
    if (step.loop != nullptr) return step.loop->pays_at_once();
    if (step.reverse != nullptr) return step.reverse->pays_at_once();
    return (step.control->kind == InstructionKind::kCond ||
            step.control->kind == InstructionKind::kCheckpoint) &&
           branches_pay(step.branches);
  });
}

bool RegionPlan::pays_at_once() const {
  return steps_pay_at_once([](const std::vector<RegionPlan>& branches) {
    return std::all_of(branches.begin(), branches.end(),
                       [](const RegionPlan& branch) { return branch.pays_at_once(); });
  });
}

bool RegionPlan::may_pay_at_once() const {
  return steps_pay_at_once([](const std::vector<RegionPlan>& branches) {
    return std::any_of(branches.begin(), branches.end(),
                       [](const RegionPlan& branch) { return branch.may_pay_at_once(); });
  });
}

bool RegionPlan::has_loops() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.loop != nullptr || step.reverse != nullptr ||
           std::any_of(step.branches.begin(), step.branches.end(),
                       [](const RegionPlan& branch) { return branch.has_loops(); });
  });
}

RegionPlan::RegionPlan(RegionPlan&&) noexcept = default;
RegionPlan::~RegionPlan() = default;

const StraightRun* RegionPlan::only_run() const {
  return steps_.size() == 1 ? steps_.front().run.get() : nullptr;
}

}  // namespace mlxnx::program
