#include "program/loop_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "mlxc/graph.h"
#include "mlxc/host_block.h"
#include "mlxc/host_kernels.h"
#include "program/builder.h"
#include "program/control.h"
#include "tensor/element.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

// Of iterations that become one kernel: four of Threefry's rounds, whose kernels would else go
// through memory each. MLX's own, on GPUs, make several of more than eleven ops.
constexpr std::size_t kLongestChain = 24;
constexpr std::size_t kMostUnrolled = 64;  // instructions

// For a loop that waits for its condition: how many iterations it may do at a time.
constexpr std::size_t kStepsAtOnce = 8;
constexpr tensors::Work kLittleWork = 100'000;

bool is_straight(const Region& region) {
  return std::all_of(region.instructions.begin(), region.instructions.end(),
                     [](const Instruction& instruction) {
                       return is_straight(instruction) && !folds_with_function(instruction);
                     });
}

// Instructions one behind the other, constants aside.
std::size_t depth_of(const Region& region) {
  std::vector<std::size_t> depth(region.value_count(), 0);
  std::size_t most = 0;
  for (const Instruction& instruction : region.instructions) {
    std::size_t deepest = 0;
    for (const ValueId id : instruction.operands) deepest = std::max(deepest, depth[id] + 1);
    for (std::size_t i = 0; i < instruction.outputs.size(); ++i)
      depth[instruction.first + i] = deepest;
    most = std::max(most, deepest);
  }
  return most;
}

// Whether each of the region's values is read on the way to `results`.
std::vector<bool> read_for(const Region& region, std::span<const ValueId> results) {
  std::vector<bool> is_read(region.value_count(), false);
  for (const ValueId id : results) is_read[id] = true;
  for (auto it = region.instructions.rbegin(); it != region.instructions.rend(); ++it) {
    bool is_needed = false;
    for (std::size_t i = 0; i < it->outputs.size(); ++i) is_needed |= is_read[it->first + i];
    if (!is_needed) continue;
    for (const ValueId id : it->operands) is_read[id] = true;
  }
  return is_read;
}

std::vector<ValueId> pick(std::span<const ValueId> values, std::span<const ValueId> positions) {
  std::vector<ValueId> picked;
  for (const ValueId position : positions) picked.push_back(values[position]);
  return picked;
}

// Whether a computed array has its elements in rows, where it is small. Iterations are computed at
// once only with such.
bool lies_in_rows(const Array& array) {
  return array.block() != nullptr || array.size() == 0 || mlxc::is_row_contiguous(array) ||
         !mlxc::HostBlock::fits(array.shape(), array.mlx_type());
}

bool is_at_hand(const Array& array) { return mlxc::is_computed(array) && lies_in_rows(array); }

std::vector<Array> at_hand(std::span<const Array> operands) {
  compute_pending(operands);
  const mlxc::AtOnceScope at_once(true);
  std::vector<Array> ready;
  ready.reserve(operands.size());
  for (const Array& operand : operands)
    ready.push_back(lies_in_rows(operand) ? operand : mlxc::contiguous(operand));
  return ready;
}

Array scalar(std::int64_t value, DType type) {
  std::byte bytes[8];
  tensors::encode(Number(value), type, bytes);
  return mlxc::from_bytes(bytes, {}, mlxc::to_mlx(type));
}

}  // namespace

LoopPlan::LoopPlan(std::shared_ptr<const Region> condition, std::shared_ptr<const Region> step)
    : condition_(condition),
      body_(step),
      states_(step->outputs.size()),
      host_(HostLoop::of(*condition, *step)) {
  const Region& body = body_.region();
  if (!is_straight(body)) return;
  if (host_) {
    choose_carried();
    build_blocks();
  }
  if (!is_straight(condition_.region())) return;
  step_.emplace(stepped(1));
  if (estimated_work(body) <= kLittleWork) steps_.emplace(stepped(kStepsAtOnce));
}

// Body and condition, `count` times. Inputs: all that the loop has; outputs: the state, and whether
// it goes on. The first round is sure to take place.
std::shared_ptr<const Region> LoopPlan::stepped(std::size_t count) const {
  const Region& body = body_.region();
  const Region& condition = condition_.region();
  RegionBuilder builder;
  std::vector<ValueId> values;
  for (const Input& input : body.inputs) values.push_back(builder.input("", input.type));
  std::optional<ValueId> goes_on;
  for (std::size_t round = 0; round < count; ++round) {
    const std::vector<ValueId> next = builder.append(body, values, body.outputs);
    for (std::size_t i = 0; i < states_; ++i)
      values[i] = goes_on ? builder.op("select", {*goes_on, next[i], values[i]}) : next[i];
    goes_on = builder.append(condition, values, condition.outputs).front();
  }
  values.resize(states_);
  values.push_back(*goes_on);
  return builder.region(values);
}

// The states that the host does not know, and those of the others that they are computed from.
void LoopPlan::choose_carried() {
  const Region& body = body_.region();
  std::vector<bool> is_carried(states_);
  for (std::size_t i = 0; i < states_; ++i) is_carried[i] = !host_->follows(i);
  while (true) {
    std::vector<ValueId> carried;
    for (ValueId i = 0; i < states_; ++i) {
      if (is_carried[i]) carried.push_back(i);
    }
    if (carried == carried_) return;
    const std::vector<bool> is_read = read_for(body, pick(body.outputs, carried));
    for (std::size_t i = 0; i < states_; ++i) is_carried[i] = is_carried[i] || is_read[i];
    carried_ = std::move(carried);
  }
}

void LoopPlan::build_blocks() {
  if (carried_.empty()) return;
  const auto once = unrolled(1);
  const std::size_t depth = std::max<std::size_t>(depth_of(*once), 1);
  const std::size_t size = std::max<std::size_t>(once->instructions.size(), 1);
  // Loops of two, four or eight iterations are common.
  block_length_ = std::bit_floor(
      std::max<std::size_t>(std::min(kLongestChain / depth, kMostUnrolled / size), 1));
  one_.emplace(once);
  if (block_length_ > 1) block_.emplace(unrolled(block_length_));
}

// Inputs: the carried states, then what the loop captures.
std::shared_ptr<const Region> LoopPlan::unrolled(std::size_t count) const {
  const Region& body = body_.region();
  RegionBuilder builder;
  std::vector<ValueId> inputs(body.inputs.size(), 0);
  std::vector<ValueId> state;
  for (const ValueId i : carried_) state.push_back(builder.input("", body.inputs[i].type));
  for (std::size_t i = states_; i < body.inputs.size(); ++i)
    inputs[i] = builder.input("", body.inputs[i].type);
  for (std::size_t round = 0; round < count; ++round) {
    for (std::size_t i = 0; i < carried_.size(); ++i) inputs[carried_[i]] = state[i];
    state = builder.append(body, inputs, pick(body.outputs, carried_));
  }
  return builder.region(state);
}

std::vector<std::int64_t> LoopPlan::read_known(std::span<const Array> operands) const {
  std::vector<std::int64_t> values(operands.size(), 0);
  std::vector<Array> known;
  for (const ValueId i : host_->known()) known.push_back(Array::view(operands[i]));
  compute_pending(known);
  for (const ValueId i : host_->known()) {
    const Number number = read_scalar(operands[i]);
    const auto* value = std::get_if<std::int64_t>(&number);
    values[i] =
        value != nullptr ? *value : static_cast<std::int64_t>(std::get<std::uint64_t>(number));
  }
  return values;
}

bool LoopPlan::pays_at_once() const {
  const auto pays = [](const std::optional<RegionPlan>& plan) {
    return !plan || plan->pays_at_once();
  };
  return condition_.pays_at_once() && body_.pays_at_once() && pays(step_) && pays(one_) &&
         pays(block_);
}

std::vector<Array> LoopPlan::run(RunState& state, std::span<const Array> operands) const {
  Arrays ready;
  if (!std::all_of(operands.begin(), operands.end(), is_at_hand) && pays_at_once()) {
    ready = at_hand(operands);
    operands = ready;
  }
  if (host_) return run_followed(state, operands);
  return run_asking(state, Arrays(operands.begin(), operands.end()));
}

// Each iteration waits for the condition, unless it is computed at once.
std::vector<Array> LoopPlan::run_asking(RunState& state, Arrays values) const {
  bool goes_on = holds(condition_.run(state, values).front());
  for (std::size_t waits = 0; goes_on;) {
    const bool several = steps_ && waits >= kStepsAtOnce;
    Arrays next = (several ? *steps_ : step_ ? *step_ : body_).run(state, values);
    for (std::size_t i = 0; i < states_; ++i) values[i] = std::move(next[i]);
    state.after_iteration(std::span(values).first(states_));
    const Array condition = step_ ? std::move(next.back()) : condition_.run(state, values).front();
    if (!mlxc::is_computed(condition)) ++waits;
    goes_on = holds(condition);
  }
  values.resize(states_);
  return values;
}

void LoopPlan::advance(RunState& state, Arrays& values, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    Arrays next = body_.run(state, values);
    std::move(next.begin(), next.end(), values.begin());
    state.after_iteration(std::span(values).first(states_));
  }
}

std::vector<Array> LoopPlan::run_noting(RunState& state, std::span<const Array> operands,
                                        const Note& note) const {
  Arrays values(operands.begin(), operands.end());
  const auto noted = [&] { note(std::span<const Array>(values).first(states_)); };
  HostLoop::Course course = HostLoop::Course::kLost;
  if (host_) {
    HostLoop host = *host_;
    std::vector<std::int64_t> known = read_known(operands);
    while ((course = host.test(known)) == HostLoop::Course::kGoesOn && host.step(known)) {
      noted();
      advance(state, values, 1);
    }
    if (course == HostLoop::Course::kGoesOn) course = HostLoop::Course::kLost;
  }
  bool goes_on = course == HostLoop::Course::kLost && holds(condition_.run(state, values).front());
  while (goes_on) {
    noted();
    Arrays next = (step_ ? *step_ : body_).run(state, values);
    for (std::size_t i = 0; i < states_; ++i) values[i] = std::move(next[i]);
    state.after_iteration(std::span(values).first(states_));
    goes_on = holds(step_ ? next.back() : condition_.run(state, values).front());
  }
  values.resize(states_);
  return values;
}

std::vector<Array> LoopPlan::run_followed(RunState& state, std::span<const Array> operands) const {
  HostLoop host = *host_;
  std::vector<std::int64_t> known = read_known(operands);
  const bool is_pruned = one_ || (carried_.empty() && step_);
  // What the device computes, and then what the loop captures.
  Arrays values;
  if (is_pruned) {
    for (const ValueId i : carried_) values.push_back(operands[i]);
  } else {
    values.assign(operands.begin(), operands.begin() + static_cast<std::ptrdiff_t>(states_));
  }
  const std::size_t carried = values.size();
  values.insert(values.end(), operands.begin() + static_cast<std::ptrdiff_t>(states_),
                operands.end());
  const auto advance = [&](const RegionPlan& plan) {
    Arrays next = plan.run(state, values);
    std::move(next.begin(), next.end(), values.begin());
  };
  HostLoop::Course course = HostLoop::Course::kGoesOn;
  while (course == HostLoop::Course::kGoesOn) {
    std::size_t ahead = 0;
    while (ahead < block_length_ && (course = host.test(known)) == HostLoop::Course::kGoesOn) {
      if (!host.step(known)) {
        course = HostLoop::Course::kLost;
        break;
      }
      ++ahead;
    }
    if (block_ && ahead == block_length_) {
      advance(*block_);
    } else if (carried != 0) {
      for (std::size_t i = 0; i < ahead; ++i) advance(one_ ? *one_ : body_);
    }
    state.after_iteration(std::span(values).first(carried));
  }
  Arrays results(operands.size());
  for (std::size_t i = 0; i < carried; ++i)
    results[is_pruned ? carried_[i] : i] = std::move(values[i]);
  for (std::size_t i = 0; i < states_; ++i) {
    if (results[i].empty()) results[i] = scalar(known[i], body_.region().inputs[i].type.dtype);
  }
  if (course == HostLoop::Course::kLost) {
    for (std::size_t i = states_; i < operands.size(); ++i) results[i] = operands[i];
    return run_asking(state, std::move(results));
  }
  results.resize(states_);
  return results;
}

}  // namespace mlxnx::program
