#include "mlxnx/ops/elementwise.h"

#include "api/call.h"

namespace mlxnx {

MLXNX_UNARY_FUNCTION(cos)
MLXNX_UNARY_FUNCTION(exp)
MLXNX_UNARY_FUNCTION(sigmoid)

MLXNX_BINARY_FUNCTION(add)

}  // namespace mlxnx
