// Tracing: C++ functions over tensors become regions. Tensors of a trace stand for values of its
// region; ops on them are recorded (ops/recorder.h). Traces nest, for loop bodies and branches, and
// an inner one captures what it takes from an outer one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ops/recorder.h"
#include "program/builder.h"
#include "tensor/node.h"

namespace mlxnx::program {

class Trace : public ops::Recorder {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

  /// The innermost trace on this thread, or null.
  static Trace* current() { return static_cast<Trace*>(ops::current_recorder()); }

  /// Calls `function` with tensors of these types and records what it does with them; with
  /// `records_all` whatever it does, so that nothing is computed.
  /// Throws: what it throws; ArgumentError for tensors of another trace, and for functions that
  /// call themselves without end.
  void run(std::span<const Input> inputs, const Function& function, bool records_all = false);

  /// Tensors of outer traces that `function` used, in the order of the inputs behind its own.
  const std::vector<Tensor>& captures() const { return captures_; }

  Region finish() { return builder_.finish(outputs_); }
  std::shared_ptr<const Region> region() { return std::make_shared<const Region>(finish()); }
  Program program() { return builder_.program(outputs_); }

  std::vector<Tensor> record(const ops::OpDef& op, const ops::Operands& operands,
                             const ops::Attrs& attrs, std::span<const TensorType> wanted) override;
  std::vector<Tensor> record_while(std::span<const Tensor> initial, const Function& condition,
                                   const Function& body);
  std::vector<Tensor> record_cond(const Tensor& predicate, const Function& on_true,
                                  const Function& on_false);
  /// A program that is run while this trace is under way.
  std::vector<Tensor> record_program(const Region& region, std::span<const Tensor> inputs);
  /// The same, with all values of the region for an answer: its inputs, and what its instructions
  /// answer.
  std::vector<Tensor> record_values(const Region& region, std::vector<Tensor> inputs);
  /// An instruction of another region with these operands.
  std::vector<Tensor> record_instruction(const Instruction& instruction,
                                         std::span<const Tensor> operands);

 private:
  struct Node;
  using Ids = std::vector<ValueId>;

  static std::vector<Tensor> share_captures(Trace& first, Trace& second);
  void capture_all(std::span<const Tensor> captures);
  Tensor tensor_of(ValueId id);
  std::vector<Tensor> tensors_of(const Ids& ids);
  ValueId value_of(const Tensor& tensor);
  Ids values_of(std::span<const Tensor> tensors);
  std::shared_ptr<const Region> function_region(const ops::OpDef& op, const ops::Attrs& attrs,
                                                Ids& operands);
  bool is_known_outside(const Tensor& tensor) const;

  const std::uint64_t id_ = next_id();
  Trace* outer_ = nullptr;  // while `run` is under way
  int depth_ = 0;           // of traces around it
  RegionBuilder builder_;
  std::vector<ValueId> own_inputs_;
  std::vector<Tensor> captures_;
  std::vector<ValueId> captured_inputs_;
  std::unordered_map<const tensors::Node*, ValueId> known_;  // tensors from outside
  std::vector<Tensor> held_;                                 // which keeps their nodes
  Ids outputs_;

  static std::uint64_t next_id();
};

}  // namespace mlxnx::program
