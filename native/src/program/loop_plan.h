// `while` made ready to run. Where the host can follow the condition (host_loop.h) iterations are
// only built, several by one replay of an unrolled body, and evaluated in batches. Otherwise each
// iteration waits for the condition's value; a loop of little work that has gone on for a while
// does several at a time, those after the last without effect.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "program/host_loop.h"
#include "program/region_plan.h"

namespace mlxnx::program {

class LoopPlan {
 public:
  LoopPlan(std::shared_ptr<const Region> condition, std::shared_ptr<const Region> body);

  /// As `RegionPlan::run`. Returns: the final state; its arrays own their handles.
  std::vector<mlxc::Array> run(RunState& state, std::span<const mlxc::Array> operands) const;

  /// The same, one iteration after the other; `note` gets the state before each.
  using Note = std::function<void(std::span<const mlxc::Array> state)>;
  std::vector<mlxc::Array> run_noting(RunState& state, std::span<const mlxc::Array> operands,
                                      const Note& note) const;
  /// Iterations that are known to take place. `values`: state and captures; the state moves on.
  void advance(RunState& state, std::vector<mlxc::Array>& values, std::size_t count) const;
  std::size_t states() const { return states_; }

  /// Whether all that an iteration runs pays at once.
  bool pays_at_once() const;

 private:
  using Arrays = std::vector<mlxc::Array>;

  std::shared_ptr<const Region> stepped(std::size_t count) const;
  void choose_carried();
  void build_blocks();
  std::shared_ptr<const Region> unrolled(std::size_t count) const;
  Arrays run_followed(RunState& state, std::span<const mlxc::Array> operands) const;
  Arrays run_asking(RunState& state, Arrays values) const;
  std::vector<std::int64_t> read_known(std::span<const mlxc::Array> operands) const;

  RegionPlan condition_;
  RegionPlan body_;
  std::size_t states_;
  std::optional<RegionPlan> step_;   // body and then condition, when both are straight
  std::optional<RegionPlan> steps_;  // several, each of which leaves a finished state alone
  std::optional<HostLoop> host_;
  std::vector<ValueId> carried_;     // states that the device computes; the host knows the others
  std::optional<RegionPlan> one_;    // an iteration of these, when the body is straight
  std::optional<RegionPlan> block_;  // and several
  std::size_t block_length_ = 1;
};

}  // namespace mlxnx::program
