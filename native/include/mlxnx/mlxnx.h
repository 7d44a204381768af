// All of mlxnx: tensors, devices and every op under its Nx name.
//
//     #include <mlxnx/mlxnx.h>
//
//     mlxnx::Tensor a = mlxnx::tensor({1.0, 2.0, 3.0});
//     mlxnx::Tensor b = mlxnx::tensor({4.0, 5.0, 6.0});
//     std::cout << mlxnx::add(a, b) << '\n';
#pragma once

#include "mlxnx/device.h"
#include "mlxnx/dtype.h"
#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/jit.h"
#include "mlxnx/literal.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/fft.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/linalg.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/shape.h"
#include "mlxnx/ops/sort.h"
#include "mlxnx/ops/window.h"
#include "mlxnx/padding.h"
#include "mlxnx/program.h"
#include "mlxnx/quantize.h"
#include "mlxnx/random.h"
#include "mlxnx/shape.h"
#include "mlxnx/tape.h"
#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"
#include "mlxnx/transforms.h"
