// What the calling thread is building: one thread-local for all of it, because each access to one
// in a shared library costs a call.
#pragma once

#include <cstdint>
#include <optional>

#include "mlx/c/stream.h"
#include "mlxnx/device.h"

namespace mlxnx::mlxc {

class Engine;

struct ThreadState {
  mlx_stream stream{nullptr};    ///< of the innermost StreamScope
  const char* op = nullptr;      ///< of the innermost OpScope
  Engine* engine = nullptr;      ///< of the innermost EngineScope
  std::optional<Device> device;  ///< of the innermost DeviceScope
  std::uint64_t nodes = 0;       ///< graph nodes built so far
  bool is_evaluating = false;    ///< whether MLX walks a graph on this thread
  bool at_once = false;          ///< whether small arrays are computed instead (host_kernels.h)
  bool only_graphs = false;      ///< whether nothing may be computed at once meanwhile
  bool adopts = false;           ///< whether the next array is to use the memory that it is given
  bool fuses = false;            ///< whether the graph is traced to be fused
};

extern constinit thread_local ThreadState thread_state;

}  // namespace mlxnx::mlxc
