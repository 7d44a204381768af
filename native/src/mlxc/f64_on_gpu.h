// What becomes of f64 where the device is a GPU: include/mlxnx/device.h has the setting.
#pragma once

#include <string_view>

#include "mlxnx/device.h"
#include "mlxnx/dtype.h"

namespace mlxnx::mlxc {

/// The default device, or the CPU for f64, which a GPU can't even copy.
Device device_for(DType type);

/// Throws: UnsupportedError where the default device is a GPU and f64 is an error there.
void require_f64(std::string_view op);

/// The same, for an op that goes from the GPU to the CPU because of f64: counted, and said once.
void note_f64_on_cpu(std::string_view op);

}  // namespace mlxnx::mlxc
