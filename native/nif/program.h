// Programs as terms.
#pragma once

#include <memory>

#include "nif/resource.h"
#include "program/executable.h"

namespace mlxnx::nif {

using ExecutablePtr = std::shared_ptr<const program::Executable>;

template <>
struct Codec<ExecutablePtr> {
  static ExecutablePtr decode(ErlNifEnv* env, Term term) {
    return Resource<ExecutablePtr>::get(env, term, "a program");
  }
  static Term encode(ErlNifEnv* env, ExecutablePtr executable) {
    return Resource<ExecutablePtr>::make(env, std::move(executable));
  }
};

/// The program, ready to run; counted among those that live until it is gone.
ExecutablePtr make_ready(program::Program program);

}  // namespace mlxnx::nif
