// Makes programs, one instruction at a time. Every rule is asked at once, so that a mistake is
// reported where it is made. Not for several threads at a time.
//
//     RegionBuilder builder;
//     const ValueId x = builder.input("x", {DType::f32, {2, 3}});
//     const ValueId sum = builder.op("sum", {x}, {{"axes", Axes{1}}});
//     Program program = builder.program({sum});
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "program/ir.h"

namespace mlxnx::program {

class RegionBuilder {
 public:
  using Ids = std::span<const ValueId>;
  using Regions = std::vector<std::shared_ptr<const Region>>;

  /// Adds an input; inputs may be added at any time, in their order.
  /// Throws: ShapeError for a shape that MLX can't count.
  ValueId input(std::string name, TensorType type);

  /// Adds a captured tensor.
  ValueId constant(Tensor value);

  /// Adds an op of the registry. `wanted` may name the outputs' types, which are cast to. `fun` is
  /// the function of reduce and window_reduce: (element, accumulator, captures…) -> accumulator,
  /// all scalars; what it captures stands behind the op's own operands.
  /// Throws: as the op's rules say; UnsupportedError when there is no such op.
  std::vector<ValueId> ops(std::string_view name, Ids operands, const ops::Attrs& attrs = {},
                           std::span<const TensorType> wanted = {},
                           std::shared_ptr<const Region> fun = nullptr);
  std::vector<ValueId> ops(const ops::OpDef& op, Ids operands, const ops::Attrs& attrs,
                           std::span<const TensorType> wanted, std::shared_ptr<const Region> fun);
  /// The same for an op with one output.
  ValueId op(std::string_view name, std::initializer_list<ValueId> operands,
             const ops::Attrs& attrs = {});

  /// Runs `body` on the state while `condition` answers something other than zero. Both take the
  /// state and then the captures; the body answers the next state.
  std::vector<ValueId> while_loop(Ids initial, Ids captures,
                                  std::shared_ptr<const Region> condition,
                                  std::shared_ptr<const Region> body);

  /// The branch of the first predicate that is not zero, else the last branch. Only that one runs.
  std::vector<ValueId> cond(Ids predicates, Ids captures, Regions branches);

  /// Tells the host about `values`; answers them.
  std::vector<ValueId> hook(std::string callback, Ids values);

  /// What the host makes of `values`.
  std::vector<ValueId> runtime_call(std::string callback, Ids values,
                                    std::span<const TensorType> outputs);

  /// Passes `values` on, and no gradient back.
  std::vector<ValueId> stop_gradient(Ids values);

  /// Passes `values` on; their gradient goes to `inputs` as `backward` answers it:
  /// (cotangents of the values…, captures…) -> cotangents of the inputs, see `cotangent_type`.
  std::vector<ValueId> custom_vjp(Ids values, Ids inputs, Ids captures,
                                  std::shared_ptr<const Region> backward);
  /// The same for values without a gradient; `reason` is what those are told who ask for it.
  std::vector<ValueId> custom_vjp(Ids values, Ids inputs, std::string reason);

  /// Puts an instruction of another region here, with these operands.
  std::vector<ValueId> append(const Instruction& instruction, Ids operands);

  /// Puts the instructions of `region` here that `results`, values of it, depend on, and those that
  /// tell or ask the host. `inputs` stand for its inputs. Returns: the values that stand for
  /// `results`.
  std::vector<ValueId> append(const Region& region, Ids inputs, Ids results);

  /// Brings the inputs, all of them, into this order.
  void order_inputs(Ids ids);

  const TensorType& type(ValueId id) const;

  /// What was built; the builder is empty afterwards. Inputs come first in the numbering.
  /// Throws: ArgumentError for an output that does not exist.
  Region finish(Ids outputs);
  std::shared_ptr<const Region> region(Ids outputs);
  Program program(Ids outputs, std::vector<std::string> output_names = {});
  Program program(std::initializer_list<ValueId> outputs) {
    return program(Ids(outputs.begin(), outputs.size()));
  }

 private:
  std::vector<ValueId> add(Instruction instruction, std::span<const TensorType> wanted);
  std::vector<ValueId> place(Instruction instruction, std::span<const TensorType> outputs);

  std::vector<TensorType> types_;  // of all values, in the order they were made
  std::vector<Input> inputs_;
  std::vector<ValueId> input_ids_;
  std::deque<Instruction> instructions_;  // large, and many: they stay where they are made
};

}  // namespace mlxnx::program
