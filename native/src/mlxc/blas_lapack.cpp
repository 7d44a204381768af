// The LAPACK names that libmlx imports, exported in front of the wheel's slow ones.
//
// Each function forwards to the chosen library and then looks at `info`. MLX 0.31 throws when it is
// not zero, on a thread of its own, which ends the process, be it only for a singular matrix. So a
// failure is told by the result instead: an exactly singular factor is returned as it is, and
// values that did not converge become NaN.

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string_view>
#include <utility>

#include "mlxc/blas_library.h"

namespace mlxnx::mlxc {
namespace {

enum LapackSlot : std::size_t {
#define MLXNX_LAPACK(name, count) k_##name,
#include "mlxc/blas_symbols.def"
#undef MLXNX_LAPACK
};

// Fortran passes the lengths of text arguments behind all others; every text here has one
// character.
constexpr std::size_t kTextLength = 1;

template <std::size_t... I>
void call(LapackFunction function, void* const* arguments, std::index_sequence<I...>) {
  using Typed = void (*)(decltype((void)I, static_cast<void*>(nullptr))..., std::size_t,
                         std::size_t, std::size_t);
  reinterpret_cast<Typed>(function)(arguments[I]..., kTextLength, kTextLength, kTextLength);
}

template <typename Real>
void fill_with_nan(void* values, int count) {
  std::fill_n(static_cast<Real*>(values), std::max(count, 0),
              std::numeric_limits<Real>::quiet_NaN());
}

// Eigenvalues and singular values are the sixth argument of all functions that find them.
void spoil_values(std::string_view name, void* const* arguments) {
  const bool singular_values = name.find("gesdd") != std::string_view::npos;
  const bool eigenvalues = name.find("ev") != std::string_view::npos;
  if (!singular_values && !eigenvalues) return;
  int count = *static_cast<const int*>(arguments[2]);
  if (singular_values) count = std::min(count, *static_cast<const int*>(arguments[1]));
  if (name.front() == 'd') {
    fill_with_nan<double>(arguments[5], count);
  } else {
    fill_with_nan<float>(arguments[5], count);
  }
}

template <std::size_t count>
void forward(LapackSlot slot, std::string_view name, std::array<void*, count> arguments) {
  call(blas_library().lapack[slot], arguments.data(), std::make_index_sequence<count>());
  int& info = *static_cast<int*>(arguments.back());
  if (info == 0) return;
  spoil_values(name, arguments.data());
  info = 0;
}

}  // namespace
}  // namespace mlxnx::mlxc

#define MLXNX_PARAMETERS_5 void *a1, void *a2, void *a3, void *a4, void *a5
#define MLXNX_PARAMETERS_6 MLXNX_PARAMETERS_5, void* a6
#define MLXNX_PARAMETERS_7 MLXNX_PARAMETERS_6, void* a7
#define MLXNX_PARAMETERS_8 MLXNX_PARAMETERS_7, void* a8
#define MLXNX_PARAMETERS_9 MLXNX_PARAMETERS_8, void* a9
#define MLXNX_PARAMETERS_11 MLXNX_PARAMETERS_9, void *a10, void *a11
#define MLXNX_PARAMETERS_13 MLXNX_PARAMETERS_11, void *a12, void *a13
#define MLXNX_PARAMETERS_14 MLXNX_PARAMETERS_13, void* a14
#define MLXNX_PARAMETERS_15 MLXNX_PARAMETERS_14, void* a15
#define MLXNX_ARGUMENTS_5 a1, a2, a3, a4, a5
#define MLXNX_ARGUMENTS_6 MLXNX_ARGUMENTS_5, a6
#define MLXNX_ARGUMENTS_7 MLXNX_ARGUMENTS_6, a7
#define MLXNX_ARGUMENTS_8 MLXNX_ARGUMENTS_7, a8
#define MLXNX_ARGUMENTS_9 MLXNX_ARGUMENTS_8, a9
#define MLXNX_ARGUMENTS_11 MLXNX_ARGUMENTS_9, a10, a11
#define MLXNX_ARGUMENTS_13 MLXNX_ARGUMENTS_11, a12, a13
#define MLXNX_ARGUMENTS_14 MLXNX_ARGUMENTS_13, a14
#define MLXNX_ARGUMENTS_15 MLXNX_ARGUMENTS_14, a15

#define MLXNX_LAPACK(name, count)                                                         \
  extern "C" [[gnu::visibility("default")]] void name(MLXNX_PARAMETERS_##count) {         \
    mlxnx::mlxc::forward<count>(mlxnx::mlxc::k_##name, #name, {MLXNX_ARGUMENTS_##count}); \
  }
#include "mlxc/blas_symbols.def"
