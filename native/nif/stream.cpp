#include "nif/stream.h"

#include <memory>

#include "mlxc/engine_pool.h"
#include "mlxnx/tensor.h"
#include "nif/function.h"
#include "nif/resource.h"

namespace mlxnx::nif {
namespace {

Term stream_new(ErlNifEnv* env, Device device) {
  if (!is_available(device)) {
    throw UnsupportedError("[stream] this machine has no device " + std::string(name(device)));
  }
  return Resource<Where>::make(env, Where{mlxc::lend_engine(), device});
}

void synchronize_where(ErlNifEnv*, Where where) {
  const WhereScope scope(where);
  synchronize();
}

}  // namespace

Where Codec<Where>::decode(ErlNifEnv* env, Term term) {
  if (term == atoms.nil) [[likely]]
    return {};
  if (const Where* where = Resource<Where>::find(env, term)) return *where;
  if (term != atoms.cpu && term != atoms.gpu) throw_unexpected(term, "nil, :cpu, :gpu or a stream");
  return {nullptr, nif::decode<Device>(env, term)};
}

bool open_stream_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<Where>::open(env, "stream", flags);
}

std::span<const ErlNifFunc> stream_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"stream_new", &stream_new, NeverQuick{}>(),
      nif_function<"synchronize", &synchronize_where, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
