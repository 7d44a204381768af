#include "types.h"

#include <stdexcept>

namespace mlx_hooks {
namespace {

namespace core = mlx::core;

struct Names {
  mlx_dtype c;
  core::Dtype core;
};

const Names kTypes[] = {
    {MLX_BOOL, core::bool_},        {MLX_UINT8, core::uint8},         {MLX_UINT16, core::uint16},
    {MLX_UINT32, core::uint32},     {MLX_UINT64, core::uint64},       {MLX_INT8, core::int8},
    {MLX_INT16, core::int16},       {MLX_INT32, core::int32},         {MLX_INT64, core::int64},
    {MLX_FLOAT16, core::float16},   {MLX_FLOAT32, core::float32},     {MLX_FLOAT64, core::float64},
    {MLX_BFLOAT16, core::bfloat16}, {MLX_COMPLEX64, core::complex64},
};

}  // namespace

core::Dtype core_type(mlx_dtype type) {
  for (const Names& names : kTypes) {
    if (names.c == type) return names.core;
  }
  throw std::logic_error("an unknown type");
}

mlx_dtype c_type(core::Dtype type) {
  for (const Names& names : kTypes) {
    if (names.core == type) return names.c;
  }
  throw std::logic_error("an unknown type");
}

}  // namespace mlx_hooks
