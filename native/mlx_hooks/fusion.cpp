// Which nodes of single elements become one. Those of one shape that hang together are a group,
// unless a path from one to another leads through something else. For that each node has a phase,
// which rises along every edge that can't be fused and never falls: nodes of one phase that are
// joined by edges that can be are reached from each other by no other way.
#include "mlxc/fusion.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "elementwise_primitive.h"
#include "mlx/array.h"
#include "mlxc/elementwise.h"
#include "mlxc/thread_state.h"
#include "node_of.h"
#include "types.h"

namespace {

namespace core = mlx::core;

using mlx_hooks::ElementwisePrimitive;
using mlxnx::kernels::Program;
using mlxnx::kernels::Step;
using mlxnx::kernels::TilePlan;
using Id = std::uintptr_t;

// More would only spill out of the cache.
constexpr std::size_t kMostNodes = 128;

const ElementwisePrimitive* elementwise_of(const core::array& array) {
  if (!array.has_primitive() || !array.siblings().empty()) return nullptr;
  return dynamic_cast<const ElementwisePrimitive*>(&array.primitive());
}

struct Node {
  core::array array;
  const ElementwisePrimitive* own = nullptr;  // null for anything else
  std::vector<core::array> inputs;            // of own ones without repeats
  std::vector<std::size_t> sources;           // those of them that are nodes
  std::vector<std::size_t> readers;
  bool is_output = false;
  std::size_t phase = 0;
  std::size_t group = 0;
};

class Graph {
 public:
  Graph(const std::vector<core::array>& outputs, std::unordered_set<Id> given)
      : given_(std::move(given)) {
    for (const core::array& output : outputs) visit(output);
    for (const core::array& output : outputs) {
      if (const auto found = numbers_.find(output.id()); found != numbers_.end())
        nodes_[found->second].is_output = true;
    }
  }

  // Returns: whether there is anything to fuse.
  bool group() {
    set_phases();
    raise_phases();
    return make_groups();
  }

  void rewrite() {
    for (const std::vector<std::size_t>& members : groups_) build(members);
    for (Node& node : nodes_) {
      if (node.own != nullptr) continue;
      replace_inputs(node.array);
      for (core::array& sibling : node.array.siblings()) replace_inputs(sibling);
    }
  }

  core::array now(const core::array& array) const {
    const auto found = replaced_.find(array.id());
    return found == replaced_.end() ? array : found->second;
  }

 private:
  bool is_end(const core::array& array) const {
    return given_.contains(array.id()) || !array.has_primitive();
  }

  // Numbers nodes so that operands come before what reads them.
  void visit(const core::array& root) {
    std::vector<std::pair<core::array, bool>> stack = {{root, false}};
    while (!stack.empty()) {
      auto [array, is_done] = stack.back();
      stack.pop_back();
      if (is_end(array) || numbers_.contains(array.id())) continue;
      if (!is_done) {
        stack.emplace_back(array, true);
        for (const core::array& in : inputs_of(array)) stack.emplace_back(in, false);
        continue;
      }
      Node node{array, elementwise_of(array), inputs_of(array), {}, {}, false, 0, 0};
      const std::size_t number = nodes_.size();
      for (const core::array& in : node.inputs) {
        const auto found = numbers_.find(in.id());
        if (found == numbers_.end()) continue;
        node.sources.push_back(found->second);
        nodes_[found->second].readers.push_back(number);
      }
      numbers_.emplace(array.id(), number);
      nodes_.push_back(std::move(node));
    }
  }

  std::vector<core::array> inputs_of(const core::array& array) const {
    std::vector<core::array> inputs = array.inputs();
    if (elementwise_of(array) == nullptr) return inputs;
    for (core::array& in : inputs) in = without_repeats(in);
    return inputs;
  }

  // What an operand repeats, since kernels broadcast by themselves. What is given may be evaluated
  // meanwhile, and is not looked into.
  core::array without_repeats(core::array array) const {
    while (!is_end(array) && array.inputs().size() == 1) {
      const std::string_view name = array.primitive().name();
      const bool repeats = name == "Broadcast" || name == "Full";
      const bool relabels = name == "Reshape" || name == "ExpandDims" || name == "Squeeze";
      if (!repeats && !(relabels && array.size() == 1)) break;
      const core::array next = array.inputs()[0];
      array = next;
    }
    return array;
  }

  bool fuses(const Node& from, const Node& to) const {
    return from.own != nullptr && to.own != nullptr && from.array.shape() == to.array.shape() &&
           from.array.primitive().stream() == to.array.primitive().stream();
  }

  void set_phases() {
    for (Node& node : nodes_) {
      for (const std::size_t source : node.sources) {
        const Node& from = nodes_[source];
        node.phase = std::max(node.phase, from.phase + (fuses(from, node) ? 0 : 1));
      }
    }
  }

  // What is read later only may as well be computed later, together with its reader.
  void raise_phases() {
    for (std::size_t i = nodes_.size(); i-- > 0;) {
      Node& node = nodes_[i];
      if (node.own == nullptr || node.readers.empty() || node.is_output) continue;
      std::optional<std::size_t> last;
      bool joins = false;
      for (const std::size_t reader : node.readers) {
        const Node& to = nodes_[reader];
        const bool can_fuse = fuses(node, to);
        const std::size_t phase = can_fuse ? to.phase : to.phase - 1;
        if (!last || phase < *last) {
          last = phase;
          joins = can_fuse;
        } else if (phase == *last) {
          joins = joins || can_fuse;
        }
      }
      if (joins) node.phase = std::max(node.phase, *last);
    }
  }

  std::size_t root_of(std::vector<std::size_t>& roots, std::size_t i) {
    while (roots[i] != i) i = roots[i] = roots[roots[i]];
    return i;
  }

  bool make_groups() {
    std::vector<std::size_t> roots(nodes_.size());
    for (std::size_t i = 0; i < roots.size(); ++i) roots[i] = i;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const std::size_t source : nodes_[i].sources) {
        if (nodes_[source].phase == nodes_[i].phase && fuses(nodes_[source], nodes_[i]))
          roots[root_of(roots, source)] = root_of(roots, i);
      }
    }
    // By phase, then in pieces, each of which reads those before it only.
    std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>> all;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].own != nullptr) all[{nodes_[i].phase, root_of(roots, i)}].push_back(i);
    }
    bool changes = false;
    for (auto& [key, members] : all) {
      for (std::size_t start = 0; start < members.size(); start += kMostNodes) {
        const std::size_t end = std::min(start + kMostNodes, members.size());
        for (std::size_t i = start; i < end; ++i) nodes_[members[i]].group = groups_.size();
        changes = changes || end - start > 1 || repeats(nodes_[members[start]]);
        groups_.emplace_back(members.begin() + static_cast<std::ptrdiff_t>(start),
                             members.begin() + static_cast<std::ptrdiff_t>(end));
      }
    }
    return changes;
  }

  static bool repeats(const Node& node) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i].id() != node.array.inputs()[i].id()) return true;
    }
    return false;
  }

  bool is_read_outside(const Node& node) const {
    return node.is_output || std::ranges::any_of(node.readers, [&](std::size_t reader) {
             return nodes_[reader].own == nullptr || nodes_[reader].group != node.group;
           });
  }

  // One node in place of the members.
  void build(const std::vector<std::size_t>& members) {
    if (members.size() == 1 && !repeats(nodes_[members[0]]) && !reads_replaced(nodes_[members[0]]))
      return;
    // Steps are numbered behind the inputs, whose number is known in the end.
    constexpr std::uint16_t kStep = 1 << 15;
    Program program;
    std::vector<core::array> inputs;
    std::unordered_map<Id, std::uint16_t> values;  // of arrays
    using Key = std::tuple<int, int, int, std::array<std::uint16_t, 3>>;
    std::map<Key, std::uint16_t> known;  // equal steps are one
    for (const std::size_t member : members) {
      const Node& node = nodes_[member];
      const Program& own = node.own->program();
      std::vector<std::uint16_t> place(own.inputs.size());
      for (std::size_t i = 0; i < place.size(); ++i) {
        const core::array input = now(node.inputs[i]);
        const auto [found, is_new] =
            values.try_emplace(input.id(), static_cast<std::uint16_t>(inputs.size()));
        place[i] = found->second;
        if (!is_new) continue;
        inputs.push_back(input);
        program.inputs.push_back(own.inputs[i]);
      }
      for (Step step : own.steps) {
        const int count = mlxnx::kernels::operand_count(step.function);
        for (int k = 0; k < count; ++k) {
          auto& operand = step.operands[static_cast<std::size_t>(k)];
          operand = place[operand];
        }
        const Key key{static_cast<int>(step.function), static_cast<int>(step.type),
                      static_cast<int>(step.result), step.operands};
        const auto [found, is_new] =
            known.try_emplace(key, static_cast<std::uint16_t>(kStep + program.steps.size()));
        if (is_new) program.steps.push_back(step);
        place.push_back(found->second);
      }
      values[node.array.id()] = place[own.results[0]];
    }
    std::vector<std::pair<Id, std::size_t>> made;  // arrays, and which result each is
    for (const std::size_t member : members) {
      const Node& node = nodes_[member];
      if (!is_read_outside(node)) continue;
      const std::uint16_t value = values[node.array.id()];
      const auto found = std::ranges::find(program.results, value);
      made.emplace_back(node.array.id(), found - program.results.begin());
      if (found == program.results.end()) program.results.push_back(value);
    }
    const auto final = [&](std::uint16_t& value) {
      if (value >= kStep) value = static_cast<std::uint16_t>(value - kStep + inputs.size());
    };
    for (Step& step : program.steps) {
      const int count = mlxnx::kernels::operand_count(step.function);
      for (int k = 0; k < count; ++k) final(step.operands[static_cast<std::size_t>(k)]);
    }
    std::vector<core::Shape> shapes;
    std::vector<core::Dtype> types;
    const core::array& first = nodes_[members[0]].array;
    for (std::uint16_t& result : program.results) {
      final(result);
      shapes.push_back(first.shape());
      types.push_back(mlx_hooks::core_type(mlxnx::mlxc::to_mlx(program.type_of(result))));
    }
    const auto results = core::array::make_arrays(
        std::move(shapes), types,
        std::make_shared<ElementwisePrimitive>(first.primitive().stream(),
                                               std::make_shared<const TilePlan>(std::move(program)),
                                               first.shape()),
        inputs);
    for (const auto& [id, result] : made) replaced_.emplace(id, results[result]);
  }

  bool reads_replaced(const Node& node) const {
    return std::ranges::any_of(node.inputs,
                               [&](const core::array& in) { return replaced_.contains(in.id()); });
  }

  void replace_inputs(core::array& array) const {
    for (core::array& in : array.inputs()) {
      if (const auto found = replaced_.find(in.id()); found != replaced_.end()) {
        core::array other = found->second;
        in = other;
      }
    }
  }

  std::unordered_set<Id> given_;
  std::vector<Node> nodes_;
  std::unordered_map<Id, std::size_t> numbers_;
  std::vector<std::vector<std::size_t>> groups_;
  std::unordered_map<Id, core::array> replaced_;
};

}  // namespace

std::vector<mlxnx::mlxc::Array> mlxnx::mlxc::fused(std::span<const Array> outputs,
                                                   std::span<const Array> inputs) {
  std::vector<core::array> ends;
  for (const Array& output : outputs) ends.push_back(node_of(output));
  std::unordered_set<Id> given;
  for (const Array& input : inputs) given.insert(node_of(input).id());
  Graph graph(ends, std::move(given));
  std::vector<Array> results;
  if (!graph.group()) {
    for (const Array& output : outputs) results.push_back(output);
    return results;
  }
  graph.rewrite();
  for (const core::array& end : ends) {
    auto node = std::make_unique<core::array>(graph.now(end));
    results.push_back(Array::adopt({node.release()}));
  }
  return results;
}
