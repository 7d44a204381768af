// The encoders of CPU streams: one for each stream, whatever thread asks.
#pragma once

#include "mlx/backend/cpu/encoder.h"
#include "mlx/stream.h"

namespace mlx_hooks {

struct SharedEncoder {
  mlx::core::cpu::CommandEncoder encoder;
  int dispatched = 0;  ///< as the encoder counts, which does not tell
};

/// The encoder of a stream, made where there is none; never destroyed. Any thread, but one at a
/// time for each stream.
SharedEncoder& shared_encoder(mlx::core::Stream stream);

}  // namespace mlx_hooks
