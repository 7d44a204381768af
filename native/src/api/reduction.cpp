#include "mlxnx/ops/reduction.h"

#include "api/call.h"
#include "api/function.h"

namespace mlxnx {
namespace {

Tensor call(const ops::OpDef& row, const Tensor& tensor, const ReductionOptions& options) {
  ops::Attrs attrs = {{"keep_axes", options.keep_axes}};
  if (options.axes) attrs.set("axes", *options.axes);
  return ops::invoke(row, {tensor}, attrs);
}

Tensor call(const ops::OpDef& row, const Tensor& tensor, const ArgExtremeOptions& options) {
  const bool high = options.tie_break == TieBreak::kHigh;
  ops::Attrs attrs = {{"tie_break", std::string(high ? "high" : "low")},
                      {"keep_axis", options.keep_axis},
                      {"type", options.type}};
  if (options.axis) attrs.set("axis", *options.axis);
  return ops::invoke(row, {tensor}, attrs);
}

Tensor call(const ops::OpDef& row, const Tensor& tensor, const CumulativeOptions& options) {
  return ops::invoke(row, {tensor}, {{"axis", options.axis}, {"reverse", options.reverse}});
}

}  // namespace

#define MLXNX_REDUCTION(function, row_name, Options)              \
  Tensor function(const Tensor& tensor, const Options& options) { \
    static const ops::OpDef& row = ops::op(row_name);             \
    return call(row, tensor, options);                            \
  }

MLXNX_REDUCTION(all, "all", ReductionOptions)
MLXNX_REDUCTION(any, "any", ReductionOptions)
MLXNX_REDUCTION(sum, "sum", ReductionOptions)
MLXNX_REDUCTION(product, "product", ReductionOptions)
MLXNX_REDUCTION(reduce_max, "reduce_max", ReductionOptions)
MLXNX_REDUCTION(reduce_min, "reduce_min", ReductionOptions)
MLXNX_REDUCTION(argmax, "argmax", ArgExtremeOptions)
MLXNX_REDUCTION(argmin, "argmin", ArgExtremeOptions)
MLXNX_REDUCTION(cumulative_sum, "block:CumulativeSum", CumulativeOptions)
MLXNX_REDUCTION(cumulative_product, "block:CumulativeProduct", CumulativeOptions)
MLXNX_REDUCTION(cumulative_min, "block:CumulativeMin", CumulativeOptions)
MLXNX_REDUCTION(cumulative_max, "block:CumulativeMax", CumulativeOptions)

#undef MLXNX_REDUCTION

Tensor reduce(const Tensor& tensor, const Tensor& accumulator, const Reducer& function,
              const ReduceOptions& options) {
  static const ops::OpDef& row = ops::op("reduce");
  ops::Attrs attrs = {{"fun", api::on_arrays(function)}, {"keep_axes", options.keep_axes}};
  if (options.axes) attrs.set("axes", *options.axes);
  if (options.type) attrs.set("type", *options.type);
  return ops::invoke(row, {tensor, accumulator}, attrs);
}

}  // namespace mlxnx
