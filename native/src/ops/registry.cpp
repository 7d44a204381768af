#include "ops/registry.h"

#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "mlxnx/error.h"

namespace mlxnx::ops {
namespace {

struct Registry {
  std::vector<const OpDef*> in_order;
  std::unordered_map<std::string_view, const OpDef*> by_name;

  Registry() {
    for (const auto family :
         {creation_ops(), unary_ops(), binary_ops(), shape_ops(), slicing_ops(), indexing_ops(),
          selection_ops(), reduction_ops(), cumulative_ops(), window_ops(), window_scatter_ops(),
          dot_ops(), conv_ops(), sort_ops(), fft_ops(), linalg_ops(), random_ops(),
          quantization_ops(), fast_ops()}) {
      for (const OpDef& def : family) add(def);
    }
  }

  void add(const OpDef& def) {
    const bool has_one_evaluator = (def.eval != nullptr) != (def.eval_many != nullptr);
    if (!has_one_evaluator || def.infer == nullptr || !by_name.emplace(def.name, &def).second) {
      throw std::logic_error("op registry: bad or duplicate row " + std::string(def.name));
    }
    in_order.push_back(&def);
  }
};

const Registry& registry() {
  // Never destroyed: other threads may be building graphs while the process exits.
  static const auto* const instance = new Registry();
  return *instance;
}

}  // namespace

std::span<const OpDef* const> all_ops() { return registry().in_order; }

const OpDef* find_op(std::string_view name) {
  const auto found = registry().by_name.find(name);
  return found == registry().by_name.end() ? nullptr : found->second;
}

const OpDef& op(std::string_view name) {
  if (const OpDef* def = find_op(name)) return *def;
  throw UnsupportedError("[" + std::string(name) +
                         "] there is no such op; `mlxnx ops` lists them all");
}

}  // namespace mlxnx::ops
