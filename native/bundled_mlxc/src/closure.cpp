#include "mlx/c/closure.h"

#include <memory>

#include "handle.h"

namespace bundled_mlxc {
namespace {

/// Owner of a handle for the length of one callback.
template <HandleType Handle>
struct Scoped {
  explicit Scoped(Handle handle = {nullptr}) : raw(handle) {}
  Scoped(const Scoped&) = delete;
  Scoped& operator=(const Scoped&) = delete;
  ~Scoped() { drop(raw); }
  Handle raw;
};

// Calls `fun(&result, input)` with handles of its own and takes the result over.
template <HandleType Result, HandleType Input, typename Fun>
Object<Result> call(const Fun& fun, const Object<Input>& input) {
  const Scoped<Input> lent(make<Input>(input));
  Scoped<Result> result;
  if (const int status = fun(&result.raw, lent.raw); status != 0) {
    throw std::runtime_error("the closure's function answered " + std::to_string(status));
  }
  return std::move(get(result.raw));
}

template <typename Fun>
void require(Fun* fun) {
  if (fun == nullptr) throw std::invalid_argument("the closure's function is a null pointer");
}

template <typename Fun>
Function function_of(const Fun& fun) {
  return
      [fun](const Arrays& inputs) { return call<mlx_vector_array, mlx_vector_array>(fun, inputs); };
}

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

MLXC_DEFINE_NEW_EMPTY(mlx_closure)
MLXC_DEFINE_FREE(mlx_closure)
MLXC_DEFINE_SET(mlx_closure)

mlx_closure mlx_closure_new_func(int (*fun)(mlx_vector_array*, const mlx_vector_array)) {
  return create<mlx_closure>([&] {
    require(fun);
    return function_of(fun);
  });
}
mlx_closure mlx_closure_new_func_payload(int (*fun)(mlx_vector_array*, const mlx_vector_array,
                                                    void*),
                                         void* payload, void (*dtor)(void*)) {
  return create<mlx_closure>([&] {
    // Taken over before anything can fail: the payload is destroyed on an error, too.
    const std::shared_ptr<void> owned(
        payload, dtor != nullptr ? dtor : [](void*) {});
    require(fun);
    return function_of([fun, owned](mlx_vector_array* result, mlx_vector_array input) {
      return fun(result, input, owned.get());
    });
  });
}
mlx_closure mlx_closure_new_unary(int (*fun)(mlx_array*, const mlx_array)) {
  return create<mlx_closure>([&]() -> Function {
    require(fun);
    return [fun](const Arrays& inputs) {
      if (inputs.size() != 1) {
        throw std::invalid_argument("a unary closure was called with " +
                                    std::to_string(inputs.size()) + " arrays");
      }
      return Arrays{call<mlx_array, mlx_array>(fun, inputs.front())};
    };
  });
}
int mlx_closure_apply(mlx_vector_array* res, mlx_closure cls, const mlx_vector_array input) {
  return fill(res, [&] { return get(cls)(get(input)); });
}

MLXC_DEFINE_NEW_EMPTY(mlx_closure_value_and_grad)
MLXC_DEFINE_FREE(mlx_closure_value_and_grad)
MLXC_DEFINE_SET(mlx_closure_value_and_grad)

int mlx_closure_value_and_grad_apply(mlx_vector_array* res_0, mlx_vector_array* res_1,
                                     mlx_closure_value_and_grad cls, const mlx_vector_array input) {
  return guard([&] { put_pair(res_0, res_1, get(cls)(get(input))); });
}

}  // extern "C"
