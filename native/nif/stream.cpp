#include "nif/stream.h"

#include <memory>

#include "mlxc/engine_pool.h"
#include "mlxnx/tensor.h"
#include "nif/function.h"

namespace mlxnx::nif {
namespace {

ErlNifResourceType* stream_type = nullptr;

void destroy_stream(ErlNifEnv*, void* object) { std::destroy_at(static_cast<Where*>(object)); }

Term stream_new(ErlNifEnv* env, Device device) {
  if (!is_available(device)) {
    throw UnsupportedError("[stream] this machine has no device " + std::string(name(device)));
  }
  Where where{mlxc::lend_engine(), device};
  void* const object = enif_alloc_resource(stream_type, sizeof(Where));
  std::construct_at(static_cast<Where*>(object), std::move(where));
  const Term term = enif_make_resource(env, object);
  enif_release_resource(object);
  return term;
}

void synchronize_where(ErlNifEnv*, Where where) {
  const WhereScope scope(where);
  synchronize();
}

}  // namespace

Where Codec<Where>::decode(ErlNifEnv* env, Term term) {
  if (term == atoms.nil) [[likely]]
    return {};
  void* object = nullptr;
  if (enif_get_resource(env, term, stream_type, &object)) return *static_cast<Where*>(object);
  if (term != atoms.cpu && term != atoms.gpu) throw_unexpected(term, "nil, :cpu, :gpu or a stream");
  return {nullptr, nif::decode<Device>(env, term)};
}

bool open_stream_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  stream_type = enif_open_resource_type(env, nullptr, "stream", &destroy_stream, flags, nullptr);
  return stream_type != nullptr;
}

std::span<const ErlNifFunc> stream_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"stream_new", &stream_new, NeverQuick{}>(),
      nif_function<"synchronize", &synchronize_where, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
