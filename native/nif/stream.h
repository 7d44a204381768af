// Mlx.Stream: an engine of its own with a queue, and the device its ops run on; and `Where`, the
// argument by which Elixir says where an op runs.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "mlxc/engine.h"
#include "mlxnx/device.h"
#include "nif/codec.h"

namespace mlxnx::nif {

/// `nil`: the default device on the process's engine; `:cpu` or `:gpu`; or a stream.
struct Where {
  std::shared_ptr<mlxc::Engine> queue;
  std::optional<Device> device;
};

template <>
struct Codec<Where> {
  static Where decode(ErlNifEnv* env, Term term);
};

/// Makes the calling thread build and evaluate there.
class WhereScope {
 public:
  explicit WhereScope(const Where& where) {
    if (where.queue != nullptr) queue_.emplace(where.queue);
    if (where.device) device_.emplace(*where.device);
  }

 private:
  std::optional<mlxc::EngineScope> queue_;
  std::optional<DeviceScope> device_;
};

bool open_stream_resource(ErlNifEnv* env, ErlNifResourceFlags flags);
std::span<const ErlNifFunc> stream_functions();

}  // namespace mlxnx::nif
