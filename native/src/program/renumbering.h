// A region made of another's instructions: some of them, some changed, with values numbered anew.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "program/ir.h"

namespace mlxnx::program {

class Renumbering {
 public:
  /// Begins with the inputs of `from`, which must outlive this, and `more` of them behind.
  explicit Renumbering(const Region& from, std::span<const Input> more = {});

  /// Adds an instruction in place of one of `from`: operands are values of `from`, and so is
  /// `first`, for which and those after it the outputs will stand.
  void add(Instruction instruction);
  /// Adds an instruction whose operands are values of the new region. Returns: its first output.
  ValueId add_new(Instruction instruction);
  /// Has `value` stand for `left_out`; both are values of `from`.
  void replace(ValueId left_out, ValueId value) { place(left_out, place_[value]); }
  /// Has `place`, a value of the new region, stand for `left_out`, a value of `from`.
  void place(ValueId left_out, ValueId place) { place_[left_out] = place; }
  /// Those added so far.
  const std::vector<Instruction>& instructions() const { return result_->instructions; }
  /// Where a value of `from` went.
  ValueId operator[](ValueId value) const { return place_[value]; }

  std::shared_ptr<const Region> finish();

 private:
  const Region& from_;
  std::shared_ptr<Region> result_ = std::make_shared<Region>();
  std::vector<ValueId> place_;
  ValueId next_ = 0;
};

}  // namespace mlxnx::program
