// The values and layouts that programs compiled against mlx-c depend on. Compiled against the
// bundled headers always, and against real ones when they are at hand; nothing here runs.
#include <cstddef>
#include <type_traits>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/compile.h"
#include "mlx/c/device.h"
#include "mlx/c/error.h"
#include "mlx/c/fft.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/string.h"
#include "mlx/c/vector.h"

namespace {

static_assert(MLX_BOOL == 0 && MLX_UINT8 == 1 && MLX_UINT16 == 2 && MLX_UINT32 == 3 &&
              MLX_UINT64 == 4 && MLX_INT8 == 5 && MLX_INT16 == 6 && MLX_INT32 == 7 &&
              MLX_INT64 == 8 && MLX_FLOAT16 == 9 && MLX_FLOAT32 == 10 && MLX_FLOAT64 == 11 &&
              MLX_BFLOAT16 == 12 && MLX_COMPLEX64 == 13);
static_assert(MLX_CPU == 0 && MLX_GPU == 1);
static_assert(MLX_COMPILE_MODE_DISABLED == 0 && MLX_COMPILE_MODE_NO_SIMPLIFY == 1 &&
              MLX_COMPILE_MODE_NO_FUSE == 2 && MLX_COMPILE_MODE_ENABLED == 3);
static_assert(MLX_FFT_NORM_BACKWARD == 0 && MLX_FFT_NORM_ORTHO == 1 && MLX_FFT_NORM_FORWARD == 2);

template <typename Handle>
constexpr bool is_one_pointer =
    std::is_standard_layout_v<Handle> &&
    sizeof(Handle) == sizeof(void*) && std::is_same_v<decltype(Handle::ctx), void*>;
static_assert(is_one_pointer<mlx_array> && is_one_pointer<mlx_string> &&
              is_one_pointer<mlx_device> && is_one_pointer<mlx_device_info> &&
              is_one_pointer<mlx_stream> && is_one_pointer<mlx_closure> &&
              is_one_pointer<mlx_closure_value_and_grad> && is_one_pointer<mlx_vector_array> &&
              is_one_pointer<mlx_vector_vector_array> && is_one_pointer<mlx_vector_int> &&
              is_one_pointer<mlx_vector_string>);

template <typename Optional, typename Value>
constexpr bool is_value_then_flag =
    std::is_same_v<decltype(Optional::value), Value>&&
            std::is_same_v<decltype(Optional::has_value), bool>&& offsetof(Optional, value) == 0 &&
    offsetof(Optional, has_value) == sizeof(Value);
static_assert(is_value_then_flag<mlx_optional_int, int> &&
              is_value_then_flag<mlx_optional_float, float> &&
              is_value_then_flag<mlx_optional_dtype, mlx_dtype>);

static_assert(sizeof(mlx_complex64_t) == 2 * sizeof(float));
static_assert(std::is_same_v<mlx_error_handler_func, void (*)(const char*, void*)>);

}  // namespace
