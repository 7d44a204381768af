#include "mlxnx/ops/linalg.h"

#include "api/call.h"

namespace mlxnx {

Tensor triangular_solve(const Tensor& a, const Tensor& b, const TriangularSolveOptions& options) {
  static const ops::OpDef& row = ops::op("triangular_solve");
  return ops::invoke(row, {a, b},
                     {{"lower", options.lower},
                      {"left_side", options.left_side},
                      {"transform_a", options.transform_a}});
}

namespace linalg {

Tensor cholesky(const Tensor& a) {
  static const ops::OpDef& row = ops::op("block:LinAlg.Cholesky");
  return ops::invoke(row, {a});
}

Tensor determinant(const Tensor& a) {
  static const ops::OpDef& row = ops::op("block:LinAlg.Determinant");
  return ops::invoke(row, {a});
}

EighResult eigh(const Tensor& a) {
  static const ops::OpDef& row = ops::op("block:LinAlg.Eigh");
  std::vector<Tensor> results = ops::invoke_all(row, {a});
  return {results[0], results[1]};
}

LuResult lu(const Tensor& a) {
  static const ops::OpDef& row = ops::op("block:LinAlg.LU");
  std::vector<Tensor> results = ops::invoke_all(row, {a});
  return {results[0], results[1], results[2]};
}

QrResult qr(const Tensor& a, const std::string& mode) {
  static const ops::OpDef& row = ops::op("block:LinAlg.QR");
  std::vector<Tensor> results = ops::invoke_all(row, {a}, {{"mode", mode}});
  return {results[0], results[1]};
}

SvdResult svd(const Tensor& a, bool full_matrices) {
  static const ops::OpDef& row = ops::op("block:LinAlg.SVD");
  std::vector<Tensor> results = ops::invoke_all(row, {a}, {{"full_matrices?", full_matrices}});
  return {results[0], results[1], results[2]};
}

Tensor solve(const Tensor& a, const Tensor& b) {
  static const ops::OpDef& row = ops::op("block:LinAlg.Solve");
  return ops::invoke(row, {a, b});
}

}  // namespace linalg
}  // namespace mlxnx
