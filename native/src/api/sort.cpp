#include "mlxnx/ops/sort.h"

#include "api/call.h"

namespace mlxnx {
namespace {

std::string name_of(Direction direction) {
  return direction == Direction::kAscending ? "asc" : "desc";
}

}  // namespace

Tensor sort(const Tensor& tensor, const SortOptions& options) {
  static const ops::OpDef& row = ops::op("sort");
  return ops::invoke(row, {tensor},
                     {{"axis", options.axis}, {"direction", name_of(options.direction)}});
}

Tensor argsort(const Tensor& tensor, const ArgsortOptions& options) {
  static const ops::OpDef& row = ops::op("argsort");
  return ops::invoke(
      row, {tensor},
      {{"axis", options.axis}, {"direction", name_of(options.direction)}, {"type", options.type}});
}

TopKResult top_k(const Tensor& tensor, std::int64_t k) {
  static const ops::OpDef& row = ops::op("block:TopK");
  std::vector<Tensor> results = ops::invoke_all(row, {tensor}, {{"k", k}});
  return {results[0], results[1]};
}

}  // namespace mlxnx
