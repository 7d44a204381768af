// Operations of the bundled mlx-c: every row of functions.def runs, and each irregular function
// means what it should.
#include <cmath>

#include "mlxc/bundled_test.h"

namespace mlxnx::bundled {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

class BundledOpsTest : public BundledTest {
 protected:
  // Runs one op that fills one array.
  template <typename Op>
  std::vector<float> run(Op&& op) {
    EXPECT_EQ(op(result_.out()), 0);
    return result_.raw.ctx != nullptr ? values_of(result_) : std::vector<float>{};
  }
  std::vector<int> shape() const { return shape_of(result_); }

  const Array counts_{ints({1, 2, 3, 4, 5, 6}, {2, 3})};
  Array result_;
};

TEST_F(BundledOpsTest, EveryRegularRowRuns) {
  const Array& a = counts_;
  const int axis = 1;
  const mlx_stream s = cpu_;
#define MLXC_UNARY(name) run([&](mlx_array* r) { return mlx_##name(r, a, s); });
#define MLXC_BINARY(name)                                      \
  if (std::string_view(#name) != "matmul") {                   \
    run([&](mlx_array* r) { return mlx_##name(r, a, a, s); }); \
  }
#define MLXC_REDUCE(name)                                                         \
  run([&](mlx_array* r) { return mlx_##name##_axes(r, a, &axis, 1, false, s); }); \
  EXPECT_THAT(shape(), ElementsAre(2)) << #name;                                  \
  run([&](mlx_array* r) { return mlx_##name##_axes(r, a, &axis, 1, true, s); });  \
  EXPECT_THAT(shape(), ElementsAre(2, 1)) << #name;
#define MLXC_ARG(name)                                                     \
  run([&](mlx_array* r) { return mlx_##name##_axis(r, a, 0, false, s); }); \
  EXPECT_THAT(shape(), ElementsAre(3)) << #name;
#define MLXC_SCAN(name) run([&](mlx_array* r) { return mlx_##name(r, a, 1, false, true, s); });
#define MLXC_SORT(name) run([&](mlx_array* r) { return mlx_##name##_axis(r, a, 1, s); });
#define MLXC_FFT(name) \
  run([&](mlx_array* r) { return mlx_fft_##name(r, a, 3, 1, MLX_FFT_NORM_BACKWARD, s); });
#include "mlxc/functions.def"
}

TEST_F(BundledOpsTest, RowsReachTheFunctionOfTheirName) {
  const mlx_stream s = cpu_;
  const Array x(floats({0.5f, -0.25f}, {2})), y(floats({2, 4}, {2}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_exp(r, x, s); }),
              Pointwise(FloatNear(1e-6f), {std::exp(0.5f), std::exp(-0.25f)}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_subtract(r, x, y, s); }),
              ElementsAre(-1.5f, -4.25f));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_power(r, y, y, s); }), ElementsAre(4, 256));
  const int axes[] = {0, 1};
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_sum_axes(r, counts_, axes, 2, false, s); }),
              ElementsAre(21));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_argmax_axis(r, counts_, 1, false, s); }),
              ElementsAre(2, 2));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_cumsum(r, counts_, 1, true, false, s); }),
              ElementsAre(5, 3, 0, 11, 6, 0));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_cumprod(r, counts_, 0, false, true, s); }),
              ElementsAre(1, 2, 3, 4, 10, 18));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_sort_axis(r, x, 0, s); }),
              ElementsAre(-0.25f, 0.5f));
}

TEST_F(BundledOpsTest, ShapedRowsTakeShapesOrAxes) {
  const mlx_stream s = cpu_;
  const int flat[] = {-1}, wide[] = {2, 2, 3}, ends[] = {0, 3}, swap[] = {1, 0};
  run([&](mlx_array* r) { return mlx_reshape(r, counts_, flat, 1, s); });
  EXPECT_THAT(shape(), ElementsAre(6));
  run([&](mlx_array* r) { return mlx_broadcast_to(r, counts_, wide, 3, s); });
  EXPECT_THAT(shape(), ElementsAre(2, 2, 3));
  Array expanded;
  ASSERT_EQ(mlx_expand_dims_axes(expanded.out(), counts_, ends, 2, s), 0);
  EXPECT_THAT(shape_of(expanded), ElementsAre(1, 2, 3, 1));
  run([&](mlx_array* r) { return mlx_squeeze_axes(r, expanded, ends, 2, s); });
  EXPECT_THAT(shape(), ElementsAre(2, 3));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_transpose_axes(r, counts_, swap, 2, s); }),
              ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST_F(BundledOpsTest, CreationFunctions) {
  const mlx_stream s = cpu_;
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_arange(r, 1, 3, 0.5, MLX_FLOAT32, s); }),
              ElementsAre(1, 1.5f, 2, 2.5f));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_eye(r, 2, 3, 1, MLX_UINT8, s); }),
              ElementsAre(0, 1, 0, 0, 0, 1));
  EXPECT_EQ(mlx_array_dtype(result_), MLX_UINT8);
  const Array half(mlx_array_new_float(0.5f));
  const int shape[] = {2, 2};
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_full(r, shape, 2, half, MLX_BFLOAT16, s); }),
              ElementsAre(0.5f, 0.5f, 0.5f, 0.5f));
  EXPECT_EQ(mlx_array_dtype(result_), MLX_BFLOAT16);
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_tril(r, counts_, 0, s); }),
              ElementsAre(1, 0, 0, 4, 5, 0));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_triu(r, counts_, 1, s); }),
              ElementsAre(0, 2, 3, 0, 0, 6));
}

TEST_F(BundledOpsTest, TypesAndLayout) {
  const mlx_stream s = cpu_;
  run([&](mlx_array* r) { return mlx_astype(r, counts_, MLX_COMPLEX64, s); });
  EXPECT_EQ(mlx_array_dtype(result_), MLX_COMPLEX64);
  const Array one(mlx_array_new_float(1));
  Array bits;
  ASSERT_EQ(mlx_view(bits.out(), one, MLX_INT32, s), 0);
  ASSERT_EQ(mlx_array_eval(bits), 0);
  EXPECT_EQ(*mlx_array_data_int32(bits), 0x3f800000);
  const int shape[] = {2, 2};
  const std::int64_t strides[] = {3, -1};
  EXPECT_THAT(
      run([&](mlx_array* r) { return mlx_as_strided(r, counts_, shape, 2, strides, 2, 1, s); }),
      ElementsAre(2, 1, 5, 4));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_contiguous(r, counts_, true, s); }),
              ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_NE(mlx_astype(result_.out(), counts_, static_cast<mlx_dtype>(14), s), 0);
  EXPECT_THAT(error(), HasSubstr("14 is no mlx_dtype"));
}

TEST_F(BundledOpsTest, JoiningAndPadding) {
  const mlx_stream s = cpu_;
  const Array a(ints({1, 2}, {2})), b(ints({3, 4}, {2})), nine(mlx_array_new_int(9));
  const VectorArray both(vector_of({a, b}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_concatenate_axis(r, both, 0, s); }),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_stack_axis(r, both, 1, s); }),
              ElementsAre(1, 3, 2, 4));
  const int axis = 0, low = 1, high = 2;
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_pad(r, a, &axis, 1, &low, 1, &high, 1, nine, "constant", s);
              }),
              ElementsAre(9, 1, 2, 9, 9));
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_pad(r, a, &axis, 1, &low, 1, &high, 1, nine, "edge", s);
              }),
              ElementsAre(1, 1, 2, 2, 2));
}

TEST_F(BundledOpsTest, SlicesAndTheirUpdates) {
  const mlx_stream s = cpu_;
  const int start[] = {0, 0}, stop[] = {2, 3}, strides[] = {1, 2};
  EXPECT_THAT(
      run([&](mlx_array* r) { return mlx_slice(r, counts_, start, 2, stop, 2, strides, 2, s); }),
      ElementsAre(1, 3, 4, 6));
  const Array zeros(ints({0, 0, 0, 0}, {2, 2}));
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_slice_update(r, counts_, zeros, start, 2, stop, 2, strides, 2, s);
              }),
              ElementsAre(0, 2, 0, 0, 5, 0));
  const Array at(ints({1}, {1}));
  const int axis = 1;
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_slice_update_dynamic(r, counts_, zeros, at, &axis, 1, s);
              }),
              ElementsAre(1, 0, 0, 4, 0, 0));
}

TEST_F(BundledOpsTest, SelectionAndIndexing) {
  const mlx_stream s = cpu_;
  const Array indices(ints({2, 0}, {2})), columns(ints({2, 0}, {2, 1})),
      nines(ints({9, 9}, {2, 1}));
  const Array mask(mlx_array_new_bool(false)), zero(mlx_array_new_int(0));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_where(r, mask, counts_, zero, s); }),
              ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_take_axis(r, counts_, indices, 1, s); }),
              ElementsAre(3, 1, 6, 4));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_take_along_axis(r, counts_, columns, 1, s); }),
              ElementsAre(3, 4));
  EXPECT_THAT(
      run([&](mlx_array* r) { return mlx_put_along_axis(r, counts_, columns, nines, 1, s); }),
      ElementsAre(1, 2, 9, 9, 5, 6));
  const VectorArray at(vector_of({indices}));
  const int axis = 1, sizes[] = {2, 1};
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_gather(r, counts_, at, &axis, 1, sizes, 2, s); }),
              ElementsAre(3, 6, 1, 4));
}

TEST_F(BundledOpsTest, ScattersCombineUpdates) {
  const mlx_stream s = cpu_;
  const Array a(ints({1, 2, 3}, {3})), twice(ints({0, 0}, {2})), updates(ints({5, 7}, {2, 1}));
  const VectorArray at(vector_of({twice}));
  const int axis = 0;
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_scatter_add(r, a, at, updates, &axis, 1, s); }),
              ElementsAre(13, 2, 3));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_scatter_max(r, a, at, updates, &axis, 1, s); }),
              ElementsAre(7, 2, 3));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_scatter_min(r, a, at, updates, &axis, 1, s); }),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_scatter(r, a, at, updates, &axis, 1, s); }),
              ElementsAre(testing::AnyOf(5, 7), 2, 3));
}

TEST_F(BundledOpsTest, ConvolutionPadsEachSideByItself) {
  const mlx_stream s = cpu_;
  const Array input(floats({1, 2, 3}, {1, 3, 1})), kernel(floats({1, 10}, {1, 2, 1}));
  const int one = 1, none = 0, two = 2;
  const auto conv = [&](int low, int high, int stride, int kernel_dilation, int input_dilation,
                        bool flip) {
    return run([&](mlx_array* r) {
      return mlx_conv_general(r, input, kernel, &stride, 1, &low, 1, &high, 1, &kernel_dilation, 1,
                              &input_dilation, 1, 1, flip, s);
    });
  };
  EXPECT_THAT(conv(none, none, one, one, one, false), ElementsAre(21, 32));
  EXPECT_THAT(conv(one, none, one, one, one, false), ElementsAre(10, 21, 32));
  EXPECT_THAT(conv(none, two, one, one, one, false), ElementsAre(21, 32, 3, 0));
  EXPECT_THAT(conv(one, none, two, one, one, false), ElementsAre(10, 32));
  EXPECT_THAT(conv(none, none, one, two, one, false), ElementsAre(31));
  EXPECT_THAT(conv(none, none, one, one, two, false), ElementsAre(1, 20, 2, 30));
  EXPECT_THAT(conv(none, none, one, one, one, true), ElementsAre(12, 23));
}

TEST_F(BundledOpsTest, FourierTransformsHonourLengthAndNorm) {
  const mlx_stream s = cpu_;
  const Array x(floats({1, 2, 3, 4}, {4}));
  const auto sum_with = [&](int n, mlx_fft_norm norm) {
    Array transformed, real;
    EXPECT_EQ(mlx_fft_fft(transformed.out(), x, n, 0, norm, s), 0);
    EXPECT_EQ(mlx_real(real.out(), transformed, s), 0);
    EXPECT_THAT(shape_of(real), ElementsAre(n));
    return values_of(real).front();
  };
  EXPECT_FLOAT_EQ(sum_with(4, MLX_FFT_NORM_BACKWARD), 10);
  EXPECT_FLOAT_EQ(sum_with(4, MLX_FFT_NORM_ORTHO), 5);
  EXPECT_FLOAT_EQ(sum_with(4, MLX_FFT_NORM_FORWARD), 2.5);
  EXPECT_FLOAT_EQ(sum_with(2, MLX_FFT_NORM_BACKWARD), 3);
  EXPECT_FLOAT_EQ(sum_with(8, MLX_FFT_NORM_BACKWARD), 10);
  Array result;
  EXPECT_NE(mlx_fft_ifft(result.out(), x, 4, 0, static_cast<mlx_fft_norm>(3), s), 0);
  EXPECT_THAT(error(), HasSubstr("3 is no mlx_fft_norm"));
}

TEST_F(BundledOpsTest, RandomBitsComeFromTheKey) {
  const mlx_stream s = cpu_;
  const int shape[] = {3};
  const auto bits = [&](mlx_array key) {
    EXPECT_EQ(mlx_random_bits(result_.out(), shape, 1, 1, key, s), 0);
    Array wide;
    EXPECT_EQ(mlx_astype(wide.out(), result_, MLX_FLOAT32, s), 0);
    return values_of(wide);
  };
  const uint32_t words[] = {0, 42};
  const int two[] = {2};
  const Array key(mlx_array_new_data(words, two, 1, MLX_UINT32));
  EXPECT_EQ(bits(key), bits(key));
  EXPECT_THAT(bits({nullptr}), testing::SizeIs(3)) << "a key of MLX's own";
  EXPECT_NE(mlx_random_bits(result_.out(), shape, 1, 3, key, s), 0);
  EXPECT_THAT(error(), HasSubstr("width"));
}

TEST_F(BundledOpsTest, FusedOps) {
  const mlx_stream s = cpu_;
  const mlx_array none{nullptr};
  const Array row(floats({3, 4}, {1, 2})), weight(floats({2, 1}, {2})), bias(floats({1, 0}, {2}));
  const auto near = [](std::vector<float> values) { return Pointwise(FloatNear(1e-5f), values); };
  const float root = std::sqrt(12.5f);
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_fast_rms_norm(r, row, none, 0, s); }),
              near({3 / root, 4 / root}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_fast_rms_norm(r, row, weight, 0, s); }),
              near({6 / root, 4 / root}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_fast_layer_norm(r, row, weight, bias, 0, s); }),
              near({-1, 1}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_softmax_axis(r, weight, 0, true, s); }),
              near({1 / (1 + std::exp(-1.0f)), 1 / (1 + std::exp(1.0f))}));
  const Array pairs(floats({1, 0, 1, 0}, {1, 2, 2})), offset(ints({1}, {1}));
  const float one = 1, two = 2;
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_fast_rope_dynamic(r, pairs, 2, false, {10, true}, 1, offset, none, s);
              }),
              near({std::cos(one), std::sin(one), std::cos(two), std::sin(two)}));
  const Array q(floats({1, 0}, {1, 1, 1, 2})), k(floats({1, 0, 0, 1}, {1, 1, 2, 2}));
  const Array sink(floats({0}, {1})), seen(floats({0, -1e9f}, {1, 2}));
  const float e = std::exp(1.0f);
  const auto attention = [&](const char* mode, mlx_array mask, mlx_array sinks) {
    return run([&](mlx_array* r) {
      return mlx_fast_scaled_dot_product_attention(r, q, k, k, 1, mode, mask, sinks, s);
    });
  };
  EXPECT_THAT(attention("", none, none), near({e / (e + 1), 1 / (e + 1)}));
  EXPECT_THAT(attention("causal", none, none), near({e / (e + 1), 1 / (e + 1)}));
  EXPECT_THAT(attention("array", seen, none), near({1, 0}));
  EXPECT_THAT(attention("", none, sink), near({e / (e + 2), 1 / (e + 2)}));
}

TEST_F(BundledOpsTest, LinearAlgebra) {
  const mlx_stream s = cpu_;
  const Array a(floats({4, 2, 2, 3}, {2, 2})), b(floats({2, 1}, {2, 1}));
  const auto near = [](std::vector<float> values) { return Pointwise(FloatNear(1e-5f), values); };
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_linalg_cholesky(r, a, false, s); }),
              near({2, 0, 1, std::sqrt(2.0f)}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_linalg_inv(r, a, s); }),
              near({0.375f, -0.25f, -0.25f, 0.5f}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_linalg_solve(r, a, b, s); }), near({0.5f, 0}));
  const Array upper(floats({2, 1, 0, 4}, {2, 2}));
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_linalg_solve_triangular(r, upper, b, true, s); }),
              near({0.875f, 0.25f}));
  Array first, second;
  ASSERT_EQ(mlx_linalg_qr(first.out(), second.out(), a, s), 0);
  EXPECT_THAT(run([&](mlx_array* r) { return mlx_matmul(r, first, second, s); }),
              near({4, 2, 2, 3}));
  ASSERT_EQ(mlx_linalg_eigh(first.out(), second.out(), a, "L", s), 0);
  EXPECT_THAT(values_of(first), near({(7 - std::sqrt(17.0f)) / 2, (7 + std::sqrt(17.0f)) / 2}));
  VectorArray parts;
  ASSERT_EQ(mlx_linalg_svd(parts.out(), a, true, s), 0);
  EXPECT_EQ(mlx_vector_array_size(parts), 3u);
  ASSERT_EQ(mlx_linalg_svd(parts.out(), a, false, s), 0);
  EXPECT_EQ(mlx_vector_array_size(parts), 1u);
  ASSERT_EQ(mlx_linalg_lu(parts.out(), a, s), 0);
  EXPECT_EQ(mlx_vector_array_size(parts), 3u);
}

TEST_F(BundledOpsTest, Quantization) {
  const mlx_stream s = cpu_;
  const mlx_optional_int group{32, true}, bits{4, true}, none{0, false};
  const mlx_array no_array{nullptr};
  std::vector<float> weights(64);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 16);
  const Array w(floats(weights, {1, 2, 32})), x(floats(std::vector<float>(32, 1.0F), {1, 1, 32}));
  VectorArray parts;
  ASSERT_EQ(mlx_quantize(parts.out(), w, group, bits, "affine", no_array, s), 0);
  ASSERT_EQ(mlx_vector_array_size(parts), 3u);
  Array words, scales, biases;
  ASSERT_EQ(mlx_vector_array_get(words.out(), parts, 0), 0);
  ASSERT_EQ(mlx_vector_array_get(scales.out(), parts, 1), 0);
  ASSERT_EQ(mlx_vector_array_get(biases.out(), parts, 2), 0);
  const mlx_optional_dtype type{MLX_FLOAT32, true};
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_dequantize(r, words, scales, biases, group, bits, "affine", no_array,
                                      type, s);
              }),
              Pointwise(FloatNear(1e-5f), weights));
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_quantized_matmul(r, x, words, scales, biases, true, group, bits,
                                            "affine", s);
              }),
              Pointwise(FloatNear(1e-3f), {240.0F, 240.0F}));
  const Array number(ints({0}, {1}));
  EXPECT_THAT(run([&](mlx_array* r) {
                return mlx_gather_qmm(r, x, words, scales, biases, no_array, number, true, group,
                                      bits, "affine", true, s);
              }),
              Pointwise(FloatNear(1e-3f), {240.0F, 240.0F}));
  const Array column(floats(std::vector<float>(32, 2.0F), {1, 32, 1}));
  EXPECT_THAT(
      run([&](mlx_array* r) { return mlx_gather_mm(r, w, column, no_array, number, false, s); }),
      Pointwise(FloatNear(1e-3f), {480.0F, 480.0F}));
  EXPECT_NE(mlx_gather_mm(result_.out(), w, w, number, number, false, s), 0);
  EXPECT_THAT(error(), HasSubstr("gather_mm"));
  VectorArray small;
  ASSERT_EQ(mlx_quantize(small.out(), w, none, none, "mxfp4", no_array, s), 0);
  EXPECT_EQ(mlx_vector_array_size(small), 2u);
  EXPECT_NE(mlx_quantize(small.out(), w, none, none, "no such", no_array, s), 0);
  EXPECT_THAT(error(), HasSubstr("no such"));
}

}  // namespace
}  // namespace mlxnx::bundled
