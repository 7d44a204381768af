// The function of reduce and window_reduce as a region. It is written for scalars and applied to
// many positions at once: each instruction runs on arrays of whatever shape its operands have.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "mlxc/array.h"
#include "program/ir.h"

namespace mlxnx::program {

/// Throws: ArgumentError, ShapeError, UnsupportedError unless `region` is a function of scalars
/// (element, accumulator, captures…) -> accumulator whose instructions work element by element.
void check_function_region(std::string_view op, const Region& region);

/// The region as an op's attribute, with the values of what it captures. The region must outlive
/// the result.
std::shared_ptr<const ops::Function> as_function(const Region& region,
                                                 std::vector<mlxc::Array> captures);

}  // namespace mlxnx::program
