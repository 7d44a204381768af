#include <stdexcept>

#include "mlxc/packed_kernels.h"

namespace mlxnx::mlxc {

namespace {
[[noreturn]] void refuse() { throw std::logic_error("there are no kernels for packed matrices"); }
}  // namespace

bool has_packed_kernels() { return false; }
bool takes_scales(const PackedMatrices&) { return false; }
Array packed_product(const Array&, const PackedMatrices&, const PackedForm&, bool,
                     const ChosenMatrices*, const Ints&, DType) {
  refuse();
}
Array packed_weights(const PackedMatrices&, const PackedForm&, const Array*, const Ints&, DType) {
  refuse();
}

}  // namespace mlxnx::mlxc
