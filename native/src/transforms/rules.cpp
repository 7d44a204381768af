#include "transforms/rules.h"

#include <unordered_map>

#include "ops/registry.h"

namespace mlxnx::transforms {

const Rule* find_rule(const ops::OpDef& op) {
  static const auto rules = [] {
    std::unordered_map<const ops::OpDef*, const Rule*> table;
    for (const auto family : {elementwise_rules(), shape_rules(), indexing_rules(),
                              reduction_rules(), window_rules(), contraction_rules(), order_rules(),
                              fft_rules(), linalg_rules(), quantization_rules(), fast_rules()}) {
      for (const Rule& rule : family) table.emplace(&ops::op(rule.op), &rule);
    }
    return table;
  }();
  const auto found = rules.find(&op);
  return found != rules.end() ? found->second : nullptr;
}

}  // namespace mlxnx::transforms
