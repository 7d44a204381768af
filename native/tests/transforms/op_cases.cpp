#include "transforms/op_cases.h"

#include <optional>
#include <sstream>
#include <string>

#include "ops/invoke.h"
#include "ops/number_tensors.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "transforms/algebra.h"

namespace mlxnx::transforms {
namespace {

const OpCase kCases[] = {
    // Creation
    {"constant", "", R"({"value": 2, "type": "f64", "shape": [2]})"},
    {"eye", "", R"({"shape": [2, 3], "type": "f64"})"},
    {"iota", "", R"({"shape": [2, 3], "axis": 1, "type": "f64"})"},

    // One operand, element by element
    {"abs", "f64[5]"},
    {"abs", "c64[3]"},
    {"acos", "f64[3]:-0.9..0.9"},
    {"acos", "c64[4]:-0.8..0.8"},
    {"acosh", "f64[3]:1.2..3"},
    {"acosh", "c64[4]:0.4..0.9"},
    {"asin", "f64[3]:-0.9..0.9"},
    {"asin", "c64[4]:-0.8..0.8"},
    {"asinh", "f64[3]"},
    {"asinh", "c64[4]:-0.8..0.8"},
    {"atan", "f64[3]"},
    {"atan", "c64[4]:-0.6..0.6"},
    {"atanh", "f64[3]:-0.9..0.9"},
    {"atanh", "c64[4]:-0.6..0.6"},
    {"bitwise_not", "s32[3]:-4..4"},
    {"cbrt", "f64[4]:-2..-0.3"},
    {"cbrt", "f64[4]:0.3..2"},
    {"ceil", "f64[4]"},
    {"conjugate", "c64[3]"},
    {"cos", "f64[3]"},
    {"cos", "c64[3]"},
    {"cosh", "f64[3]"},
    {"cosh", "c64[3]"},
    {"count_leading_zeros", "s32[3]:0..9"},
    {"erf", "f64[3]"},
    {"erf_inv", "f64[3]:-0.8..0.8", "{}", {.error = 1e-6}},  // values are of 7 digits, as in Nx
    {"erfc", "f64[3]"},
    {"exp", "f64"},
    {"exp", "f64[3]"},
    {"exp", "f64[0]"},
    {"exp", "c64[3]"},
    {"expm1", "f64[3]"},
    {"expm1", "c64[3]"},
    {"floor", "f64[4]"},
    {"imag", "c64[3]"},
    {"is_infinity", "f64[3]"},
    {"is_nan", "f64[3]"},
    {"log", "f64[3]:0.2..3"},
    {"log", "c64[4]:0.3..2"},
    {"log1p", "f64[3]:-0.8..3"},
    {"log1p", "c64[4]:-0.5..2"},
    {"negate", "f64[3]"},
    {"negate", "c64[3]"},
    {"population_count", "s32[3]:0..9"},
    {"real", "c64[3]"},
    {"real", "f64[3]"},
    {"round", "f64[4]"},
    {"rsqrt", "f64[3]:0.3..3"},
    {"rsqrt", "c64[4]:0.4..2"},
    {"sigmoid", "f64[3]"},
    {"sigmoid", "c64[3]:-1..1"},
    {"sign", "f64[3]"},
    {"sin", "f64[3]"},
    {"sin", "c64[3]"},
    {"sinh", "f64[3]"},
    {"sinh", "c64[3]"},
    {"sqrt", "f64[3]:0.3..3"},
    {"sqrt", "c64[4]:0.4..2"},
    {"tan", "f64[3]:-1.2..1.2"},
    {"tan", "c64[3]:-1..1"},
    {"tanh", "f64[3]"},
    {"tanh", "c64[3]:-1..1"},
    {"block:LogicalNot", "f64[3]"},
    {"block:Phase", "f64[3]"},
    {"block:Phase", "c64[4]:0.4..2"},

    // Several operands, element by element
    {"add", "f64[2,3] f64[2,3]"},
    {"add", "f64[2,1] f64[1,3]"},
    {"add", "f64 f64[2,2]"},
    {"add", "f64[3] #0"},
    {"add", "f32[2] c64[2]"},
    {"add", "f64[3] s32[3]:-3..3"},
    {"atan2", "f64[4] f64[4]:0.3..2"},
    {"atan2", "f64[2,1] f64[1,3]:-2..-0.3"},
    {"bitwise_and", "s32[3]:0..9 s32[3]:0..9"},
    {"bitwise_or", "s32[3]:0..9 s32[3]:0..9"},
    {"bitwise_xor", "s32[3]:0..9 s32[3]:0..9"},
    {"divide", "f64[3] f64[3]:0.4..2"},
    {"divide", "f64[2,1,2] f64[3,1]:-2..-0.4"},
    {"divide", "f64[3]:0.4..2 #0"},
    {"divide", "c64[3] c64[3]:0.4..2"},
    {"divide", "f32[3] c64[3]:0.4..2"},
    {"equal", "f64[3] f64[3]"},
    {"greater", "f64[3] f64[3]"},
    {"greater_equal", "f64[3] f64[3]"},
    {"left_shift", "s32[3]:0..9 s32[3]:0..4"},
    {"less", "f64[3] f64[3]"},
    {"less_equal", "f64[3] f64[3]"},
    {"logical_and", "f64[3] f64[3]"},
    {"logical_or", "f64[3] f64[3]"},
    {"logical_xor", "f64[3] f64[3]"},
    {"max", "f64[6] f64[6]"},
    {"max", "f64[2,1] f64[3]"},
    {"min", "f64[6] f64[6]"},
    {"min", "f64 f64[3]"},
    {"multiply", "f64[2,3] f64[2,3]"},
    {"multiply", "f64[2,1] f64[1,3]"},
    {"multiply", "f64[3] #0"},
    {"multiply", "c64[3] c64[3]"},
    {"multiply", "f32[2,1] c64[3]"},
    {"multiply", "c64[3] #0"},
    {"not_equal", "f64[3] f64[3]"},
    {"pow", "f64[3]:0.3..2 f64[3]"},
    {"pow", "f64[3]:0.3..2 #0"},
    {"pow", "f64[2,1]:-2..-0.3 s32[3]=2,3,-1"},
    {"pow", "f64[3]=-1.5,0,2 s32[3]=3,2,0"},
    {"pow", "s32[3]=2,3,1 f64[3]"},
    {"pow", "c64[3]:0.4..2 c64[3]:-1..1"},
    {"pow", "f32[3]:0.4..2 c64[3]:-1..1"},
    {"quotient", "s32[3]:-9..9 s32[3]:1..4"},
    {"remainder", "f64[4] f64[4]:0.3..1.2"},
    {"remainder", "f64[4]:-3..-1 f64[4]:0.3..1.2"},
    {"remainder", "f64[4]:1..3 f64[4]:-1.2..-0.3"},
    {"right_shift", "s32[3]:0..9 s32[3]:0..4"},
    {"subtract", "f64[2,3] f64[3]"},
    {"subtract", "f64[3] #0"},
    {"subtract", "c64[2] f32[2]"},
    {"block:AllClose", "f64[3] f64[3]"},
    {"clip", "f64[8]:-2..2 f64:-0.5..-0.4 f64:0.6..0.7"},
    {"clip", "f64[8]:-2..2 f64:0.6..0.7 f64:-0.5..-0.4"},
    {"select", "u8[2,2]=1,0,0,1 f64[2,2] f64[2,2]"},
    {"select", "u8[2,3]=1,0,0,1,1,0 f64[2,1] f64[3]"},
    {"select", "u8=1 f64[2,3] f64[2,3]"},
    {"select", "u8[3]=1,0,1 c64[3] f32[3]"},
    {"as_type", "f64[3]", R"({"type": "f32"})"},
    {"as_type", "f64[3]", R"({"type": "s32"})"},
    {"as_type", "f64[3]", R"({"type": "c64"})"},
    {"as_type", "c64[3]", R"({"type": "f64"})"},
    {"as_type", "c64[3]", R"({"type": "s32"})"},
    {"bitcast", "s64[3]:1..9", R"({"type": "f64"})"},

    // Shape
    {"broadcast", "f64[3]", R"({"shape": [2, 3]})"},
    {"broadcast", "f64[2,1,3]", R"({"shape": [2, 4, 3]})"},
    {"broadcast", "f64[2,1]", R"({"shape": [2, 3, 4], "axes": [0, 2]})"},
    {"broadcast", "f64", R"({"shape": [2, 2], "axes": []})"},
    {"concatenate", "f64[2,2] f64[2,1] f64[2,3]", R"({"axis": -1})"},
    {"concatenate", "f64[2] #0"},
    {"concatenate", "f32[2] f32[0] c64[1]"},
    {"pad", "f64[2,3] f64", R"({"padding": [[1, 2, 0], [0, 1, 2]]})"},
    {"pad", "f64[4,3] f64", R"({"padding": [[-1, 2, 1], [-1, -1, 0]]})"},
    {"pad", "f64[4] f64", R"({"padding": [[-2, -3, 2]]})"},
    {"pad", "f64[1] f64", R"({"padding": [[0, 0, 3]]})"},
    {"pad", "f64[0] f64", R"({"padding": [[1, 2, 1]]})"},
    {"reshape", "f64[2,3]", R"({"shape": [3, 1, 2]})"},
    {"reverse", "f64[2,3]", R"({"axes": [-1]})"},
    {"reverse", "f64[2,3]"},
    {"squeeze", "f64[1,2,1]", R"({"axes": [-1]})"},
    {"squeeze", "f64[1,2,1]"},
    {"stack", "f64[2] f64[2] f64[2]", R"({"axis": -1})"},
    {"stack", "f32[2] #0 c64[2]"},
    {"transpose", "f64[2,3,1]"},
    {"transpose", "f64[2,3,2]", R"({"axes": [1, 2, 0]})"},
    {"transpose", "f64[2,3,2]", R"({"axes": [-1, 0, -2]})"},

    // Indexing
    {"put_slice", "f64[3,4] f64[2,2]", R"({"starts": [1, 2]})"},
    {"put_slice", "f64[3,4] s32=5 f64[2,2]", R"({"starts": [{"operand": 1}, 0]})"},
    {"put_slice", "f32[3] s32=0 c64[2]", R"({"starts": [{"operand": 1}]})"},
    {"slice", "f64[3,4]", R"({"starts": [1, 0], "lengths": [2, 3]})"},
    {"slice", "f64[7,3]", R"({"starts": [1, 0], "lengths": [5, 3], "strides": [2, 3]})"},
    {"slice", "f64[3,4] s32=9 s32=1",
     R"({"starts": [{"operand": 1}, {"operand": 2}], "lengths": [2, 3], "strides": [1, 2]})"},
    {"gather", "f64[3,4] s32[3,2]=0,1,2,3,0,1"},
    {"gather", "f64[3,4] s32[2,2,1]=0,2,2,1", R"({"axes": [0]})"},
    {"gather", "f64[2,3,4] s32[2,2]=1,3,0,3", R"({"axes": [0, 2]})"},
    {"gather", "f64[3] s32[4,1]=2,2,2,0"},
    {"indexed_add", "f64[3,4] s32[3,2]=0,1,2,3,0,1 f64[3]"},
    {"indexed_add", "f64[3,4] s32[3,1]=2,0,2 f64[3,4]", R"({"axes": [0]})"},
    {"indexed_add", "f64[2,3,4] s32[2,1]=3,3 f64[2,2,3]", R"({"axes": [2]})"},
    {"indexed_add", "f32[3] s32[2,1]=0,2 c64[2]"},
    {"indexed_put", "f64[3,4] s32[3,2]=0,1,2,3,1,1 f64[3]"},
    {"indexed_put", "f64[3,4] s32[4,2]=0,1,2,3,0,1,0,1 f64[4]"},
    {"indexed_put", "f64[3,4] s32[3,1]=2,0,2 f64[3,4]", R"({"axes": [0]})"},
    {"indexed_put", "f64[2,3,4] s32[3,2]=1,3,0,0,1,3 f64[3,3]", R"({"axes": [0, 2]})"},
    {"block:Take", "f64[3,4] s32[2,2]=0,2,2,2", R"({"axis": 0})"},
    {"block:Take", "f64[3,4] s32[3]=3,0,3", R"({"axis": -1})"},
    {"block:Take", "f64[2,3,2] s32[2,1]=2,1", R"({"axis": 1})"},
    {"block:Take", "f64[3] s32=1"},
    {"block:TakeAlongAxis", "f64[3,2] s32[4,2]=0,1,2,2,2,0,0,0"},
    {"block:TakeAlongAxis", "f64[3,2] s32[3,3]=0,1,0,1,1,1,0,0,1", R"({"axis": -1})"},

    // Reductions and scans
    {"all", "f64[2,3]"},
    {"any", "f64[2,3]"},
    {"sum", "f64[2,3]"},
    {"sum", "f64[2,3,2]", R"({"axes": [0, -1]})"},
    {"sum", "f64[2,3]", R"({"axes": [1], "keep_axes": true})"},
    {"sum", "f64[2,0]", R"({"axes": [1]})"},
    {"sum", "c64[2,2]", R"({"axes": [0]})"},
    {"product", "f64[2,3]"},
    {"product", "f64[2,3,2]", R"({"axes": [0, -1]})"},
    {"product", "f64[5,2]", R"({"axes": [0], "keep_axes": true})"},
    {"product", "f64[2,3]=1,0,2,0,0,3", R"({"axes": [1]})"},
    {"product", "f64[4]=0,0,0,2"},
    {"product", "f64[1,2]", R"({"axes": [0]})"},
    {"product", "c64[3]"},
    {"reduce_max", "f64[2,3]"},
    {"reduce_max", "f64[2,3,2]", R"({"axes": [0, -1]})"},
    {"reduce_max", "f64[2,3]", R"({"axes": [1], "keep_axes": true})"},
    {"reduce_min", "f64[2,3]"},
    {"reduce_min", "f64[2,3,2]", R"({"axes": [-2]})"},
    {"argmax", "f64[2,3]", R"({"axis": 1})"},
    {"argmin", "f64[2,3]"},
    {"block:CumulativeSum", "f64[2,4]", R"({"axis": 1})"},
    {"block:CumulativeSum", "f64[3,2]", R"({"reverse": true})"},
    {"block:CumulativeSum", "c64[3]"},
    {"block:CumulativeProduct", "f64[2,5]", R"({"axis": -1})"},
    {"block:CumulativeProduct", "f64[4]", R"({"reverse": true})"},
    {"block:CumulativeProduct", "f64[5]=2,0,3,0,1"},
    {"block:CumulativeProduct", "f64[1]"},
    {"block:CumulativeProduct", "c64[3]"},
    {"block:CumulativeMin", "f64[6,2]"},
    {"block:CumulativeMin", "f64[2,7]", R"({"axis": 1, "reverse": true})"},
    {"block:CumulativeMax", "f64[6,2]"},
    {"block:CumulativeMax", "f64[2,7]", R"({"axis": -1, "reverse": true})"},

    // Windows
    {"window_sum", "f64[4,3]", R"({"window": [2, 2]})"},
    {"window_sum", "f64[7]",
     R"({"window": [2], "padding": [[1, 2]], "strides": [3], "window_dilations": [2]})"},
    {"window_sum", "f64[6,2]", R"({"window": [2, 1], "padding": [[-1, -1], [0, 0]]})"},
    {"window_sum", "f64[8]", R"({"window": [2], "strides": [3]})"},
    {"window_product", "f64[4,3]", R"({"window": [2, 2]})"},
    {"window_product", "f64[7]",
     R"({"window": [2], "padding": [[1, 2]], "strides": [3], "window_dilations": [2]})"},
    {"window_product", "f64[4]=0,2,0,3", R"({"window": [3], "padding": [[1, 1]]})"},
    {"window_max", "f64[4,3]", R"({"window": [2, 2]})"},
    {"window_max", "f64[7]:-3..-1",
     R"({"window": [3], "padding": [[2, 1]], "strides": [2], "window_dilations": [2]})"},
    {"window_max", "f64[5,4]",
     R"({"window": [2, 3], "padding": [[1, 0], [0, 1]], "strides": [2, 1]})"},
    {"window_max", "f64[6]", R"({"window": [2], "padding": [[-1, -2]]})"},
    {"window_min", "f64[4,3]", R"({"window": [2, 2]})"},
    {"window_min", "f64[7]:1..3",
     R"({"window": [3], "padding": [[2, 1]], "strides": [2], "window_dilations": [2]})"},
    {"window_scatter_max", "f64[4,4] f64[2,2] f64", R"({"window": [2, 2], "strides": [2, 2]})"},
    {"window_scatter_max", "f64[5] f64[3] f64", R"({"window": [3]})"},
    {"window_scatter_max", "f64[5] f64[4] f64",
     R"({"window": [2], "padding": [[1, 2]], "strides": [2]})"},
    {"window_scatter_min", "f64[4,4] f64[3,3] f64", R"({"window": [2, 2]})"},
    {"window_scatter_min", "s32[5]=3,1,2,5,4 f64[3] f64", R"({"window": [3]})"},
    {"window_scatter_max", "s32[4]=5,5,1,1 f64[3] f64", R"({"window": [2]})"},

    // Contractions
    {"dot", "f64[2,3] f64[3,2]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"dot", "f64[3] f64[3]", R"({"contract_axes1": [0], "contract_axes2": [0]})"},
    {"dot", "f64[3] #0", R"({"contract_axes1": [0], "contract_axes2": [-1]})"},
    {"dot", "f64[2,2] #0", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"dot", "f64[2] f64[3]", R"({"contract_axes1": [], "contract_axes2": []})"},
    {"dot", "f64[2,3,2] f64[2,2,3]",
     R"({"contract_axes1": [-1], "batch_axes1": [0], "contract_axes2": [1], "batch_axes2": [0]})"},
    {"dot", "f64[2,3,4] f64[4,2,2]", R"({"contract_axes1": [0, 2], "contract_axes2": [2, 0]})"},
    {"dot", "f64[2,3,4] f64[4,2,3]", R"({"contract_axes1": [2, 1], "contract_axes2": [0, 2]})"},
    {"dot", "f64[2,1,3,2] f64[2,1,2,3]",
     R"({"contract_axes1": [2], "batch_axes1": [0, 1], "contract_axes2": [3], "batch_axes2": [0, 1]})"},
    {"dot", "c64[2,2] c64[2]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"dot", "f32[2,2] c64[2]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"dot", "s32[2,3]:-2..2 f64[3]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"conv", "f64[2,2,5] f64[3,2,2]"},
    {"conv", "f64[1,1,4] f64[1,1,4]"},
    {"conv", "f64[1,2,5] f64[2,2,1]"},
    {"conv", "f64[1,2,8] f64[2,2,3]", R"({"strides": [2], "padding": [[1, 2]]})"},
    {"conv", "f64[1,1,9] f64[2,1,2]", R"({"strides": [3]})"},
    {"conv", "f64[1,2,6] f64[2,2,2]", R"({"padding": [[-1, -1]]})"},
    {"conv", "f64[1,1,4] f64[1,1,3]", R"({"input_dilation": [3], "padding": [[2, 1]]})"},
    {"conv", "f64[1,1,8] f64[1,1,3]", R"({"kernel_dilation": [2], "strides": [2]})"},
    {"conv", "f64[1,1,5] f64[2,1,2]",
     R"({"strides": [2], "padding": [[3, 1]], "input_dilation": [2], "kernel_dilation": [3]})"},
    {"conv", "f64[1,4,5] f64[6,2,2]", R"({"feature_group_size": 2, "strides": [2]})"},
    {"conv", "f64[1,3,4] f64[3,1,2]", R"({"feature_group_size": 3, "padding": [[1, 0]]})"},
    {"conv", "f64[4,2,4] f64[4,2,2]", R"({"batch_group_size": 2, "padding": [[0, 1]]})"},
    {"conv", "f64[1,2,3,4] f64[2,2,2,2]", R"({"strides": [1, 2], "padding": [[1, 0], [0, 1]]})"},
    {"conv", "f64[4,2,3] f64[3,2,2]",
     R"({"input_permutation": [1, 2, 0], "kernel_permutation": [2, 0, 1], "padding": [[1, 1]],
         "output_permutation": [2, 0, 1]})"},
    {"conv", "f64[4,5,1,2] f64[2,3,2,2]",
     R"({"input_permutation": [2, 3, 0, 1], "kernel_permutation": [2, 3, 0, 1],
         "output_permutation": [0, 2, 3, 1], "input_dilation": [1, 2]})"},
    {"conv", "f64[2,3] f64[2,3]"},
    {"conv", "c64[1,1,4] c64[1,1,2]"},

    // Order
    {"sort", "f64[5,2]"},
    {"sort", "f64[2,5]", R"({"axis": -1, "direction": "desc"})"},
    {"argsort", "f64[5]"},
    {"block:TopK", "f64[2,5]", R"({"k": 3})"},

    // Fourier transforms
    {"fft", "c64[2,3]"},
    {"fft", "c64[4]", R"({"length": 6})"},
    {"fft", "c64[5,2]", R"({"length": 3, "axis": 0})"},
    {"fft", "f32[4]"},
    {"ifft", "c64[2,3]"},
    {"ifft", "c64[4]", R"({"length": 6})"},
    {"ifft", "f32[5,2]", R"({"length": 3, "axis": -2})"},
    {"block:FFT2", "c64[2,3]"},
    {"block:FFT2", "f32[3,2,2]", R"({"lengths": [2, 3], "axes": [0, -1]})"},
    {"block:IFFT2", "c64[2,3]"},
    {"block:IFFT2", "c64[3,2,2]", R"({"lengths": [2, 3], "axes": [-1, 0]})"},
    {"block:RFFT", "f32[5]"},
    {"block:RFFT", "f32[2,4]", R"({"length": 6})"},
    {"block:RFFT", "f32[6,2]", R"({"length": 4, "axis": 0})"},
    {"block:IRFFT", "c64[3]"},
    {"block:IRFFT", "c64[3]", R"({"length": 5})"},
    {"block:IRFFT", "c64[4,2]", R"({"length": 3, "axis": 0})"},
    {"block:IRFFT", "c64[2]", R"({"length": 6})"},
    {"block:IRFFT", "c64[4]", R"({"length": 4})"},
    {"block:IRFFT", "c64[1]", R"({"length": 1})"},
    {"block:RFFT", "f32[3]", R"({"length": 1})"},

    // Linear algebra; what is unique only up to signs and turns stands in its own test
    {"triangular_solve", "f64[3,3]!diagonal f64[3]"},
    {"triangular_solve", "f64[3,3]!diagonal f64[3,2]", R"({"lower": false})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[3,2]", R"({"transform_a": "transpose"})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[3,2]",
     R"({"lower": false, "transform_a": "transpose"})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[3]",
     R"({"lower": false, "left_side": false, "transform_a": "transpose"})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[2,3]", R"({"left_side": false})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[2,3]",
     R"({"left_side": false, "transform_a": "transpose"})"},
    {"triangular_solve", "f64[3,3]!diagonal f64[2,3]", R"({"left_side": false, "lower": false})"},
    {"triangular_solve", "f64[2,2,2]!diagonal f64[2,2,1]"},
    {"triangular_solve", "f64[2,2]!diagonal #0"},
    {"triangular_solve", "f64[3,3]!diagonal f64[3]", R"({"left_side": false})"},
    {"triangular_solve", "s32[2,2]=2,1,0,3 f64[2]", R"({"lower": false})"},
    {"triangular_solve", "f32[2,2]!diagonal c64[2,2]", R"({"left_side": false})"},
    {"triangular_solve", "c64[2,2]!diagonal f32[2]",
     R"({"left_side": false, "transform_a": "transpose"})"},
    {"triangular_solve", "c64[2,2]!diagonal c64[2,2]"},
    {"triangular_solve", "c64[2,2]!diagonal c64[2]",
     R"({"transform_a": "conjugate", "lower": false})"},
    {"triangular_solve", "c64[2,2]!diagonal c64[2,2]",
     R"({"transform_a": "conjugate", "left_side": false})"},
    {"triangular_solve", "c64[2,2]!diagonal c64[2,2]", R"({"transform_a": "transpose"})"},
    {"block:LinAlg.Cholesky", "f64[3,3]!spd"},
    {"block:LinAlg.Cholesky", "f64[2,2,2]!spd"},
    {"block:LinAlg.Cholesky", "f64[1,1]!spd"},
    {"block:LinAlg.Cholesky", "c64[2,2]!spd"},
    {"block:LinAlg.Determinant", "f64[1,1]"},
    {"block:LinAlg.Determinant", "f64[2,2]"},
    {"block:LinAlg.Determinant", "f64[2,3,3]"},
    {"block:LinAlg.Determinant", "f64[2,4,4]"},
    {"block:LinAlg.Determinant", "f64[5,5]"},
    {"block:LinAlg.Determinant", "f64[2,2]=1,2,2,4"},
    {"block:LinAlg.Determinant", "f64[3,3]=1,2,3,4,5,6,7,8,9"},
    {"block:LinAlg.Determinant", "f64[3,3]=1,1,1,1,1,1,1,1,1"},
    {"block:LinAlg.Determinant", "c64[2,2]"},
    {"block:LinAlg.Determinant", "c64[4,4]"},
    {"block:LinAlg.Eigh", "f64[3,3]!hermitian"},
    {"block:LinAlg.Eigh", "f64[2,2,2]!hermitian"},
    {"block:LinAlg.LU", "f64[3,3]"},
    {"block:LinAlg.LU", "f64[2,2,2]"},
    {"block:LinAlg.LU", "f64[4,4]"},
    {"block:LinAlg.LU", "c64[3,3]!diagonal"},
    {"block:LinAlg.QR", "f64[3,3]"},
    {"block:LinAlg.QR", "f64[4,2]"},
    {"block:LinAlg.QR", "f64[2,4]"},
    {"block:LinAlg.QR", "f64[2,3,2]"},
    {"block:LinAlg.QR", "f64[3,3]", R"({"mode": "complete"})"},
    {"block:LinAlg.QR", "f64[2,3]", R"({"mode": "complete"})"},
    {"block:LinAlg.SVD", "f64[3,3]", R"({"full_matrices?": false})"},
    {"block:LinAlg.SVD", "f64[4,2]", R"({"full_matrices?": false})"},
    {"block:LinAlg.SVD", "f64[2,4]", R"({"full_matrices?": false})"},
    {"block:LinAlg.SVD", "f64[2,3,2]", R"({"full_matrices?": false})"},
    {"block:LinAlg.SVD", "f64[3,3]", R"({"full_matrices?": true})"},
    {"block:LinAlg.Solve", "f64[3,3]!diagonal f64[3]"},
    {"block:LinAlg.Solve", "f64[3,3]!diagonal f64[3,2]"},
    {"block:LinAlg.Solve", "f64[2,2,2]!diagonal f64[2,2]"},
    {"block:LinAlg.Solve", "f64[2,2,2]!diagonal f64[2,2,1]"},
    {"block:LinAlg.Solve", "f64[2,2]!diagonal #0"},
    {"block:LinAlg.Solve", "c64[2,2]!diagonal c64[2]"},
    {"block:LinAlg.Solve", "f32[2,2]!diagonal c64[2]"},

    // Nothing, and one of it
    {"add", "f64[0,2] f64[2]"},
    {"sum", "f64[0]"},
    {"sum", "f64[0,2]", R"({"axes": [0]})"},
    {"product", "f64[0]"},
    {"product", "f64[2,0]", R"({"axes": [1]})"},
    {"reduce_max", "f64[0,2]", R"({"axes": [1]})"},
    {"reverse", "f64[0,2]"},
    {"concatenate", "f64[0] f64[2] f64[0]"},
    {"broadcast", "f64[1]", R"({"shape": [0]})"},
    {"broadcast", "f64[2]", R"({"shape": [0, 2]})"},
    {"dot", "f64[2,0] f64[0,3]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"dot", "f64[0,2] f64[2,3]", R"({"contract_axes1": [1], "contract_axes2": [0]})"},
    {"conv", "f64[0,1,3] f64[1,1,2]"},
    {"gather", "f64[3] s32[0,1]"},
    {"indexed_add", "f64[3] s32[0,1] f64[0]"},
    {"indexed_put", "f64[3] s32[0,1] f64[0]"},
    {"block:Take", "f64[3] s32[0]"},
    {"block:TakeAlongAxis", "f64[3] s32[0]"},
    {"select", "u8[0] f64[0] f64"},
    {"sort", "f64[0]"},
    {"sort", "f64[1]"},
    {"block:TopK", "f64[3]", R"({"k": 3})"},
    {"block:CumulativeSum", "f64[0]"},
    {"block:CumulativeProduct", "f64[0]"},
    {"block:CumulativeMax", "f64[2,0]"},
    {"window_sum", "f64[0,3]", R"({"window": [2, 2], "padding": [[1, 1], [0, 0]]})"},
    {"window_product", "f64[0,3]", R"({"window": [2, 2], "padding": [[1, 1], [0, 0]]})"},
    {"window_max", "f64[1,1]", R"({"window": [1, 1]})"},
    {"block:LinAlg.Cholesky", "f64[0,2,2]!spd"},
    {"block:LinAlg.Determinant", "f64[0,2,2]"},
    {"block:LinAlg.Eigh", "f64[1,1]!hermitian"},
    {"block:LinAlg.LU", "f64[1,1]"},
    {"block:LinAlg.QR", "f64[1,1]"},
    {"block:LinAlg.QR", "f64[0,3,2]"},
    {"block:LinAlg.SVD", "f64[1,1]"},
    {"block:LinAlg.Solve", "f64[1,1]:1..2 f64[1]"},
    {"block:LinAlg.Solve", "f64[2,2]!diagonal f64[2,0]"},
    {"triangular_solve", "f64[0,2,2]!diagonal f64[0,2]"},

    // Negative axes
    {"broadcast", "f64[2,1]", R"({"shape": [2, 3, 4], "axes": [-3, -1]})"},
    {"gather", "f64[2,3,4] s32[2,2]=1,3,0,3", R"({"axes": [-3, -1]})"},
    {"indexed_add", "f64[2,3] s32[2,1]=2,0 f64[2,2]", R"({"axes": [-1]})"},
    {"indexed_put", "f64[2,3] s32[2,1]=2,2 f64[2,2]", R"({"axes": [-1]})"},
    {"dot", "f64[2,3,2] f64[2,2,3]",
     R"({"contract_axes1": [-1], "batch_axes1": [-3], "contract_axes2": [-2], "batch_axes2": [-3]})"},
    {"conv", "f64[4,2,3] f64[3,2,2]",
     R"({"input_permutation": [-2, -1, 0], "kernel_permutation": [-1, 0, -2],
         "output_permutation": [-1, 0, 1]})"},
    {"argmax", "f64[2,3]", R"({"axis": -1})"},
};

// A word of a case: what the tensor is and how it goes into the call.
struct Word {
  std::optional<std::size_t> again;  // #0
  TensorType type;
  double low = -2, high = 2;
  std::vector<double> elements;
  std::string matrix;
};

// What stands in `text` behind `mark`, which is cut off.
std::string take_behind(std::string& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return "";
  std::string rest = text.substr(at + 1);
  text.resize(at);
  return rest;
}

std::vector<double> numbers(const std::string& list) {
  std::vector<double> result;
  std::istringstream in(list);
  for (std::string item; std::getline(in, item, ',');) result.push_back(std::stod(item));
  return result;
}

Word parse(std::string text, DType type) {
  Word word;
  if (text[0] == '#') {
    word.again = std::stoul(text.substr(1));
    return word;
  }
  word.matrix = take_behind(text, '!');
  word.elements = numbers(take_behind(text, '='));
  const std::string range = take_behind(text, ':');
  if (!range.empty()) {
    word.low = std::stod(range);
    word.high = std::stod(range.substr(range.find("..") + 2));
  }
  for (const double dim : numbers(take_behind(text, '[')))
    word.type.shape.push_back(static_cast<std::int64_t>(dim));
  word.type.dtype = text == "f64" ? type : dtype_from_name(text);
  return word;
}

std::vector<Word> parse_all(std::string_view words, DType type) {
  std::vector<Word> result;
  std::istringstream in{std::string(words)};
  for (std::string word; in >> word;) result.push_back(parse(word, type));
  return result;
}

Tensor sample(const Word& word, Sampler& sampler) {
  if (word.elements.empty()) return sampler(word.type, word.low, word.high);
  return generate(word.type.dtype, word.type.shape,
                  [&](std::size_t i) { return word.elements[i]; });
}

Tensor shaped(const Tensor& a, const std::string& matrix) {
  if (matrix == "spd")
    return matmul(a, adjoint(a)) + identity(a.shape().back(), a.dtype()) * a.shape().back();
  if (matrix == "hermitian") return a + adjoint(a);
  if (matrix == "diagonal") return a + identity(a.shape().back(), a.dtype()) * 3;
  return a;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const OpCase& op_case) {
  return out << op_case.op << " of " << op_case.operands << " " << op_case.attrs;
}

std::span<const OpCase> op_cases() { return kCases; }

Tensors operands_of(std::string_view words, DType type) {
  Sampler sampler(words.size());
  Tensors result;
  for (const Word& word : parse_all(words, type)) {
    if (!word.again) result.push_back(sample(word, sampler));
  }
  return result;
}

Subject subject(const OpCase& op_case, DType type) {
  const ops::OpDef& op = ops::op(op_case.op);
  const std::vector<Word> words = parse_all(op_case.operands, type);
  const ops::Attrs attrs = program::attrs_from_json(nlohmann::json::parse(op_case.attrs), op.attrs);
  return subject(operands_of(op_case.operands, type), [&](const Tensors& inputs) {
    Tensors operands;
    std::size_t next = 0;
    for (const Word& word : words)
      operands.push_back(word.again ? operands[*word.again] : shaped(inputs[next++], word.matrix));
    return ops::invoke_all(op, std::span<const Tensor>(operands), attrs);
  });
}

}  // namespace mlxnx::transforms
