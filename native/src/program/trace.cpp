#include "program/trace.h"

#include <atomic>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "program/verifier.h"

namespace mlxnx::program {

struct Trace::Node : tensors::Node {
  Node(TensorType type, std::uint64_t trace, ValueId value)
      : tensors::Node({}, std::move(type), {tensors::kTraced, 0}), trace(trace), value(value) {}
  std::uint64_t trace;  // an id: the tensor may outlive its trace
  ValueId value;
};

std::uint64_t Trace::next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

Tensor Trace::tensor_of(ValueId id) {
  return Tensor(std::make_shared<Node>(builder_.type(id), id_, id));
}

std::vector<Tensor> Trace::tensors_of(const Ids& ids) {
  std::vector<Tensor> tensors;
  tensors.reserve(ids.size());
  for (const ValueId id : ids) tensors.push_back(tensor_of(id));
  return tensors;
}

bool Trace::is_known_outside(const Tensor& tensor) const {
  const auto trace = static_cast<const Node&>(tensor.node()).trace;
  for (const Trace* outer = outer_; outer != nullptr; outer = outer->outer_) {
    if (outer->id_ == trace) return true;
  }
  return false;
}

ValueId Trace::value_of(const Tensor& tensor) {
  const tensors::Node& node = tensor.node();
  if (node.is_traced() && static_cast<const Node&>(node).trace == id_)
    return static_cast<const Node&>(node).value;
  if (const auto found = known_.find(&node); found != known_.end()) return found->second;
  ValueId id = 0;
  if (node.is_traced()) {
    if (!is_known_outside(tensor))
      throw ArgumentError("[trace] a tensor of a traced function was kept beyond its tracing");
    id = builder_.input("", tensor.type());
    captures_.push_back(tensor);
    captured_inputs_.push_back(id);
  } else if (tensor.shape().empty() && node.known.load(std::memory_order_acquire)) {
    id = builder_.op("constant", {}, {{"value", tensor.to_number()}, {"type", tensor.dtype()}});
  } else {
    id = builder_.constant(tensor);
  }
  known_.emplace(&node, id);
  held_.push_back(tensor);
  return id;
}

Trace::Ids Trace::values_of(std::span<const Tensor> tensors) {
  Ids ids;
  ids.reserve(tensors.size());
  for (const Tensor& tensor : tensors) ids.push_back(value_of(tensor));
  return ids;
}

void Trace::run(std::span<const Input> inputs, const Function& function, bool records_all) {
  for (const Input& input : inputs) own_inputs_.push_back(builder_.input(input.name, input.type));
  outer_ = current();
  depth_ = outer_ != nullptr ? outer_->depth_ + 1 : 0;
  if (depth_ > kMostNested) {
    throw ArgumentError(
        "[trace] functions stand more than " + std::to_string(kMostNested) +
        " deep within each other; one can't call itself through cond or while_loop");
  }
  const ops::RecorderScope scope(*this, records_all);
  outputs_ = values_of(function(tensors_of(own_inputs_)));
}

// Gives both regions the inputs for what either captures. Returns: that.
std::vector<Tensor> Trace::share_captures(Trace& first, Trace& second) {
  std::vector<Tensor> captures = first.captures_;
  std::unordered_set<const tensors::Node*> known;
  for (const Tensor& capture : captures) known.insert(&capture.node());
  for (const Tensor& capture : second.captures_) {
    if (known.insert(&capture.node()).second) captures.push_back(capture);
  }
  first.capture_all(captures);
  second.capture_all(captures);
  return captures;
}

void Trace::capture_all(std::span<const Tensor> captures) {
  Ids order = own_inputs_;
  for (const Tensor& capture : captures) {
    const auto known = known_.find(&capture.node());
    order.push_back(known != known_.end() ? known->second : builder_.input("", capture.type()));
  }
  builder_.order_inputs(order);
}

std::vector<Tensor> Trace::record(const ops::OpDef& op, const ops::Operands& operands,
                                  const ops::Attrs& attrs, std::span<const TensorType> wanted) {
  Ids ids;
  ids.reserve(operands.size());
  for (std::size_t i = 0; i < operands.size(); ++i) ids.push_back(value_of(operands[i]));
  std::shared_ptr<const Region> function;
  if (takes_function(op)) function = function_region(op, attrs, ids);
  return tensors_of(builder_.ops(op, ids, attrs, wanted, std::move(function)));
}

// The function attribute, traced for scalars of the type that the op folds in.
std::shared_ptr<const Region> Trace::function_region(const ops::OpDef& op, const ops::Attrs& attrs,
                                                     Ids& operands) {
  const auto* function = attrs.get_if<std::shared_ptr<const ops::Function>>("fun");
  if (function == nullptr || *function == nullptr || (*function)->on_tensors == nullptr) {
    throw UnsupportedError("[" + std::string(op.name) +
                           "] a function of arrays can't be traced; use one of tensors");
  }
  std::vector<TensorType> types;
  for (const ValueId id : operands) types.push_back(builder_.type(id));
  const DType type = ops::infer_types(op, types, attrs)[0].dtype;
  const std::vector<Input> inputs(2, Input{"", {type, {}}});
  Trace inner;
  inner.run(inputs, [&](const std::vector<Tensor>& in) {
    return std::vector{(*function)->on_tensors(in[0], in[1])};
  });
  for (const ValueId id : values_of(inner.captures())) operands.push_back(id);
  return inner.region();
}

std::vector<Tensor> Trace::record_while(std::span<const Tensor> initial, const Function& condition,
                                        const Function& body) {
  const Ids state = values_of(initial);
  std::vector<Input> inputs;
  for (const Tensor& tensor : initial) inputs.push_back({"", tensor.type()});
  Trace test;
  test.run(inputs, condition);
  Trace step;
  step.run(inputs, body);
  const Ids captures = values_of(share_captures(test, step));
  return tensors_of(builder_.while_loop(state, captures, test.region(), step.region()));
}

std::vector<Tensor> Trace::record_cond(const Tensor& predicate, const Function& on_true,
                                       const Function& on_false) {
  const Ids predicates{value_of(predicate)};
  Trace first;
  first.run({}, on_true);
  Trace second;
  second.run({}, on_false);
  const Ids captures = values_of(share_captures(first, second));
  return tensors_of(builder_.cond(predicates, captures, {first.region(), second.region()}));
}

std::vector<Tensor> Trace::record_program(const Region& region, std::span<const Tensor> inputs) {
  return tensors_of(builder_.append(region, values_of(inputs), region.outputs));
}

std::vector<Tensor> Trace::record_values(const Region& region, std::vector<Tensor> inputs) {
  Ids made(region.value_count() - inputs.size());
  std::iota(made.begin(), made.end(), static_cast<ValueId>(inputs.size()));
  std::vector<Tensor> values = std::move(inputs);
  const std::vector<Tensor> outputs = tensors_of(builder_.append(region, values_of(values), made));
  values.insert(values.end(), outputs.begin(), outputs.end());
  return values;
}

std::vector<Tensor> Trace::record_instruction(const Instruction& instruction,
                                              std::span<const Tensor> operands) {
  return tensors_of(builder_.append(instruction, values_of(operands)));
}

}  // namespace mlxnx::program
