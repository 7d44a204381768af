#include "convert.h"

#include <utility>

namespace bundled_mlxc {
namespace {

template <typename C, typename Cpp>
using Row = std::pair<C, Cpp>;

constexpr Row<mlx_dtype, core::Dtype> kDtypes[] = {
    {MLX_BOOL, core::bool_},        {MLX_UINT8, core::uint8},        {MLX_UINT16, core::uint16},
    {MLX_UINT32, core::uint32},     {MLX_UINT64, core::uint64},      {MLX_INT8, core::int8},
    {MLX_INT16, core::int16},       {MLX_INT32, core::int32},        {MLX_INT64, core::int64},
    {MLX_FLOAT16, core::float16},   {MLX_FLOAT32, core::float32},    {MLX_FLOAT64, core::float64},
    {MLX_BFLOAT16, core::bfloat16}, {MLX_COMPLEX64, core::complex64}};

constexpr Row<mlx_device_type, core::Device::DeviceType> kDeviceTypes[] = {
    {MLX_CPU, core::Device::cpu}, {MLX_GPU, core::Device::gpu}};

constexpr Row<mlx_compile_mode, core::CompileMode> kCompileModes[] = {
    {MLX_COMPILE_MODE_DISABLED, core::CompileMode::disabled},
    {MLX_COMPILE_MODE_NO_SIMPLIFY, core::CompileMode::no_simplify},
    {MLX_COMPILE_MODE_NO_FUSE, core::CompileMode::no_fuse},
    {MLX_COMPILE_MODE_ENABLED, core::CompileMode::enabled}};

constexpr Row<mlx_fft_norm, core::fft::FFTNorm> kFftNorms[] = {
    {MLX_FFT_NORM_BACKWARD, core::fft::FFTNorm::Backward},
    {MLX_FFT_NORM_ORTHO, core::fft::FFTNorm::Ortho},
    {MLX_FFT_NORM_FORWARD, core::fft::FFTNorm::Forward}};

template <typename C, typename Cpp, std::size_t kCount>
Cpp cpp_of(const Row<C, Cpp> (&rows)[kCount], C wanted, const char* name) {
  for (const auto& [c, cpp] : rows) {
    if (c == wanted) return cpp;
  }
  throw std::invalid_argument(std::to_string(static_cast<int>(wanted)) + " is no " + name);
}

template <typename C, typename Cpp, std::size_t kCount>
C c_of(const Row<C, Cpp> (&rows)[kCount], Cpp wanted, const char* name) {
  for (const auto& [c, cpp] : rows) {
    if (cpp == wanted) return c;
  }
  throw std::invalid_argument(std::string("MLX answered a value that has no ") + name);
}

}  // namespace

core::Dtype to_cpp(mlx_dtype type) { return cpp_of(kDtypes, type, "mlx_dtype"); }
core::Device::DeviceType to_cpp(mlx_device_type type) {
  return cpp_of(kDeviceTypes, type, "mlx_device_type");
}
core::CompileMode to_cpp(mlx_compile_mode mode) {
  return cpp_of(kCompileModes, mode, "mlx_compile_mode");
}
core::fft::FFTNorm to_cpp(mlx_fft_norm norm) { return cpp_of(kFftNorms, norm, "mlx_fft_norm"); }

mlx_dtype to_c(core::Dtype type) { return c_of(kDtypes, type, "mlx_dtype"); }
mlx_device_type to_c(core::Device::DeviceType type) {
  return c_of(kDeviceTypes, type, "mlx_device_type");
}

std::string to_cpp(const char* text) {
  if (text == nullptr) throw std::invalid_argument("a text argument is a null pointer");
  return text;
}

}  // namespace bundled_mlxc
