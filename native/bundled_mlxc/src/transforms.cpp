#include "mlx/c/transforms.h"

#include "convert.h"
#include "mlx/c/compile.h"
#include "mlx/c/transforms_impl.h"
#include "mlx/compile.h"
#include "mlx/compile_impl.h"
#include "mlx/transforms.h"
#include "mlx/transforms_impl.h"
#include "mlx/version.h"

namespace bundled_mlxc {
namespace {

// MLX 0.32 names the calling thread's cache, which is the only one that 0.31 knows.
void clear_compile_cache() {
#if MLX_VERSION_NUMERIC >= 32000
  core::detail::compile_clear_cache(core::detail::compile_cache());
#else
  core::detail::compile_clear_cache();
#endif
}

void erase_compiled(std::uintptr_t id) {
#if MLX_VERSION_NUMERIC >= 32000
  core::detail::compile_erase(core::detail::compile_cache(), id);
#else
  core::detail::compile_erase(id);
#endif
}

}  // namespace
}  // namespace bundled_mlxc

using namespace bundled_mlxc;

extern "C" {

int mlx_async_eval(const mlx_vector_array outputs) {
  return guard([&] { core::async_eval(get(outputs)); });
}
int mlx_eval(const mlx_vector_array outputs) {
  return guard([&] { core::eval(get(outputs)); });
}

int mlx_checkpoint(mlx_closure* res, const mlx_closure fun) {
  return MLXC_CALL(res, core::checkpoint, fun);
}
int mlx_jvp(mlx_vector_array* res_0, mlx_vector_array* res_1, const mlx_closure fun,
            const mlx_vector_array primals, const mlx_vector_array tangents) {
  return guard([&] { put_pair(res_0, res_1, MLXC_CONVERTED(core::jvp, fun, primals, tangents)); });
}
int mlx_value_and_grad(mlx_closure_value_and_grad* res, const mlx_closure fun, const int* argnums,
                       size_t argnums_num) {
  return MLXC_CALL(res, core::value_and_grad, fun, MLXC_LIST(argnums));
}
int mlx_vjp(mlx_vector_array* res_0, mlx_vector_array* res_1, const mlx_closure fun,
            const mlx_vector_array primals, const mlx_vector_array cotangents) {
  return guard(
      [&] { put_pair(res_0, res_1, MLXC_CONVERTED(core::vjp, fun, primals, cotangents)); });
}

int mlx_detail_vmap_replace(mlx_vector_array* res, const mlx_vector_array inputs,
                            const mlx_vector_array s_inputs, const mlx_vector_array s_outputs,
                            const int* in_axes, size_t in_axes_num, const int* out_axes,
                            size_t out_axes_num) {
  return MLXC_CALL(res, core::detail::vmap_replace, inputs, s_inputs, s_outputs, MLXC_LIST(in_axes),
                   MLXC_LIST(out_axes));
}
int mlx_detail_vmap_trace(mlx_vector_array* res_0, mlx_vector_array* res_1, const mlx_closure fun,
                          const mlx_vector_array inputs, const int* in_axes, size_t in_axes_num) {
  return guard([&] {
    put_pair(res_0, res_1,
             MLXC_CONVERTED(core::detail::vmap_trace, fun, inputs, MLXC_LIST(in_axes)));
  });
}

int mlx_compile(mlx_closure* res, const mlx_closure fun, bool shapeless) {
  return MLXC_CALL(res, core::compile, fun, shapeless);
}
int mlx_detail_compile(mlx_closure* res, const mlx_closure fun, uintptr_t fun_id, bool shapeless,
                       const uint64_t* constants, size_t constants_num) {
  return MLXC_CALL(res, core::detail::compile, fun, fun_id, shapeless, MLXC_LIST(constants));
}
int mlx_detail_compile_clear_cache(void) {
  return guard([] { clear_compile_cache(); });
}
int mlx_detail_compile_erase(uintptr_t fun_id) {
  return guard([&] { erase_compiled(fun_id); });
}
int mlx_disable_compile(void) {
  return guard([] { core::disable_compile(); });
}
int mlx_enable_compile(void) {
  return guard([] { core::enable_compile(); });
}
int mlx_set_compile_mode(mlx_compile_mode mode) {
  return guard([&] { core::set_compile_mode(to_cpp(mode)); });
}

}  // extern "C"
