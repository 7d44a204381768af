#include "mlx/fast.h"

#include "convert.h"
#include "mlx/c/fast.h"
#include "mlx/version.h"

using namespace bundled_mlxc;

namespace {

// MLX has added a parameter between the sinks and the stream.
core::array attention(const core::array& queries, const core::array& keys,
                      const core::array& values, float scale, const std::string& mask_mode,
                      const std::optional<core::array>& mask,
                      const std::optional<core::array>& sinks, core::Stream s) {
#if MLX_VERSION_NUMERIC < 32002
  return core::fast::scaled_dot_product_attention(queries, keys, values, scale, mask_mode, mask,
                                                  sinks, s);
#else
  return core::fast::scaled_dot_product_attention(queries, keys, values, scale, mask_mode, mask,
                                                  sinks, false, s);
#endif
}

}  // namespace

extern "C" {

int mlx_fast_layer_norm(mlx_array* res, const mlx_array x, const mlx_array weight,
                        const mlx_array bias, float eps, const mlx_stream s) {
  return MLXC_CALL(res, core::fast::layer_norm, x, Maybe(weight), Maybe(bias), eps, s);
}
int mlx_fast_rms_norm(mlx_array* res, const mlx_array x, const mlx_array weight, float eps,
                      const mlx_stream s) {
  return MLXC_CALL(res, core::fast::rms_norm, x, Maybe(weight), eps, s);
}
int mlx_fast_rope_dynamic(mlx_array* res, const mlx_array x, int dims, bool traditional,
                          mlx_optional_float base, float scale, const mlx_array offset,
                          const mlx_array freqs, const mlx_stream s) {
  const auto given = base.has_value ? std::optional(base.value) : std::nullopt;
  return MLXC_CALL(res, core::fast::rope, x, dims, traditional, given, scale, offset, Maybe(freqs),
                   s);
}
int mlx_fast_scaled_dot_product_attention(mlx_array* res, const mlx_array queries,
                                          const mlx_array keys, const mlx_array values, float scale,
                                          const char* mask_mode, const mlx_array mask_arr,
                                          const mlx_array sinks, const mlx_stream s) {
  return MLXC_CALL(res, attention, queries, keys, values, scale, mask_mode, Maybe(mask_arr),
                   Maybe(sinks), s);
}

}  // extern "C"
