#include <stdexcept>

#include "mlxc/convolution_kernel.h"
#include "mlxc/elementwise.h"
#include "mlxc/fold_kernels.h"
#include "mlxc/function_fold.h"
#include "mlxc/fusion.h"
#include "mlxc/index_kernels.h"
#include "mlxc/kernel_node.h"
#include "mlxc/order_kernels.h"
#include "mlxc/packed_kernels.h"
#include "mlxc/row_kernels.h"

namespace mlxnx::mlxc {

namespace {
[[noreturn]] void refuse() { throw std::logic_error("there are no kernels of our own here"); }
}  // namespace

bool has_kernels() { return false; }
Array elementwise_node(std::shared_ptr<const kernels::TilePlan>, std::span<const Array* const>,
                       std::span<const int>) {
  refuse();
}
std::vector<Array> fused(std::span<const Array>, std::span<const Array>) { refuse(); }
std::optional<FoldFunction> fold_function(const Array&, const Array&, const Array&,
                                          std::span<const Array>) {
  return std::nullopt;
}
Array folded(const FoldFunction&, const Array&, const Array&, const Ints&, std::int64_t) {
  refuse();
}
bool folds_by_kernels(const Array&) { return false; }
Array folded(kernels::Fold, const Array&, const Ints&, bool) { return {}; }
bool takes_scales(const PackedMatrices&) { return false; }
Array packed_product(const Array&, const PackedMatrices&, const PackedForm&, bool,
                     const ChosenMatrices*, const Ints&, DType) {
  refuse();
}
Array packed_weights(const PackedMatrices&, const PackedForm&, const Array*, const Ints&, DType) {
  refuse();
}
Array attend(const Array&, const Array&, const Array&, const AttentionForm&, const Array&,
             const Array&, const Ints&, DType) {
  refuse();
}
Array normalize_rows(const Array&, const Array&, const Array&, const NormForm&, const Ints&,
                     DType) {
  refuse();
}
Array softmax_rows(const Array&, const Ints&) { refuse(); }
Array turn_rows(const Array&, const Array&, const Array&, const RopeForm&, const Ints&, DType) {
  refuse();
}
Array convolve(const ConvolutionTask&, const Array&, const Array&, const Ints&) { refuse(); }
bool are_inside(const void*, mlx_dtype, std::int64_t, const Shape&) { refuse(); }
Array pick(const IndexTask&, const Array&, const Array&, const Ints&) { refuse(); }
Array update(const IndexTask&, const Array&, const Array&, const Array&) { refuse(); }
Array sort_runs(const Array&, int, bool) { refuse(); }
Array argsort_runs(const Array&, int, bool, DType) { refuse(); }
Array top_of_rows(const Array&, int) { refuse(); }

}  // namespace mlxnx::mlxc
