// Checks of matrix factorisations. They are not unique (signs, phases, order of equal values), so
// the product, the structure of the factors and the values that are unique are checked instead.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "replay/golden_data.h"

namespace mlxnx::cli {

/// Whether `op` is one of block:LinAlg.QR, SVD, Eigh and LU.
bool is_factorisation(const std::string& op);

/// Null when `got` is a factorisation of the input of `golden`, else what is wrong with it.
std::optional<std::string> factorisation_fault(const GoldenCase& golden,
                                               std::span<const GoldenTensor> got);

}  // namespace mlxnx::cli
