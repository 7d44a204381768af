#include "mlxc/graph.h"
#include "mlxc/row_sort.h"

mlxnx::mlxc::Array mlxnx::mlxc::row_sort(const Array& a) { return sort(a, -1); }
