// Elements handed to another process of the operating system, by POSIX shared memory.
#pragma once

#include <sys/types.h>

#include <string>

#include "mlxnx/tensor.h"

namespace mlxnx::io {

/// Copies the elements into shared memory of a new name, which stays until someone claims it, or
/// the machine restarts. Evaluates. `permissions`: of the name, as for files; 0400 lets this user's
/// processes read it.
/// Returns: the name, "/mlxnx_" and 16 digits.
/// Throws: ArgumentError for permissions outside 0400 … 0777, BackendError when the system has no
/// room left for it.
std::string share(const Tensor& tensor, mode_t permissions = 0400);

/// The tensor whose elements lie under `name`, row by row, and takes the name away: the memory is
/// gone once this has answered.
/// Throws: ArgumentError where nothing has that name, or it does not hold as many bytes as `type`
/// takes; the name then stays.
Tensor claim(const std::string& name, const TensorType& type);

}  // namespace mlxnx::io
