#include "mlxc/graph.h"
#include "mlxc/row_softmax.h"

mlxnx::mlxc::Array mlxnx::mlxc::row_softmax(const Array& a) { return softmax(a, -1); }
