// Errors, ownership and access to data in the bundled mlx-c.
#include "mlxc/bundled_test.h"

#include <atomic>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <thread>

namespace mlxnx::bundled {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(BundledTest, ErrorTextWithPercentSignsArrivesIntact) {
  const Array a(floats({1}, {1}));
  const Array zero(mlx_array_new_float(0));
  const int axis = 0, amount = 1;
  Array result;
  EXPECT_NE(mlx_pad(result.out(), a, &axis, 1, &amount, 1, &amount, 1, zero, "50%d_%s_%n", cpu_),
            0);
  EXPECT_THAT(error(), HasSubstr("50%d_%s_%n"));
  EXPECT_EQ(result.raw.ctx, nullptr);
}

TEST_F(BundledTest, LongErrorTextArrivesIntact) {
  const std::string text(100000, 'x');
  mlx_error("%s", text.c_str());
  EXPECT_THAT(error(), StartsWith(text + " at "));
}

TEST_F(BundledTest, ErrorFunctionFormatsItsArguments) {
  _mlx_error("place.c", 7, "%d of %s", 3, "four");
  EXPECT_EQ(error(), "3 of four at place.c:7");
}

TEST_F(BundledTest, ErrorTextNamesTheFailedFunction) {
  Array result;
  EXPECT_NE(mlx_add(result.out(), result, result, cpu_), 0);
  EXPECT_THAT(error(), testing::MatchesRegex("the mlx_array is empty at mlx_add:[0-9]+"));
}

int destroyed = 0;

TEST_F(BundledTest, HandlerDataIsDestroyedOnceWhenReplaced) {
  destroyed = 0;
  int data = 0;
  const auto handler = [](const char*, void* d) { ++*static_cast<int*>(d); };
  mlx_set_error_handler(handler, &data, [](void*) { ++destroyed; });
  mlx_error("one");
  mlx_error("two");
  EXPECT_EQ(data, 2);
  EXPECT_EQ(destroyed, 0);
  mlx_set_error_handler(handler, &data, nullptr);
  EXPECT_EQ(destroyed, 1);
  mlx_error("three");
  EXPECT_EQ(data, 3);
  mlx_set_error_handler(nullptr, nullptr, nullptr);
  EXPECT_EQ(destroyed, 1);
}

TEST_F(BundledTest, ExceptionOfAHandlerEndsInTheLibrary) {
  mlx_set_error_handler([](const char*, void*) { throw std::runtime_error("handler"); }, nullptr,
                        nullptr);
  EXPECT_NE(mlx_array_eval(mlx_array_new()), 0);
}

TEST_F(BundledTest, HandlerMayReportItself) {
  static int depth;
  depth = 0;
  mlx_set_error_handler(
      [](const char*, void*) {
        if (depth++ == 0) mlx_array_eval(mlx_array_new());
      },
      nullptr, nullptr);
  mlx_error("outer");
  EXPECT_EQ(depth, 2);
}

using BundledDeathTest = BundledTest;

TEST_F(BundledDeathTest, DefaultHandlerPrintsAndExits) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        mlx_set_error_handler(nullptr, nullptr, nullptr);
        mlx_error("gone");
      },
      testing::ExitedWithCode(255), "MLX error: gone at ");
}

TEST_F(BundledTest, EmptyHandlesGiveAnErrorAndNoCrash) {
  const mlx_array array = mlx_array_new();
  const mlx_vector_array vector{nullptr};
  const mlx_closure closure = mlx_closure_new();
  Array result;
  VectorArray results;
  Closure function;
  String text;
  bool flag = false;
  int number = 0;
  const auto fails = [&](int status, const char* type) {
    EXPECT_NE(status, 0);
    EXPECT_THAT(error(), StartsWith(std::string("the ") + type + " is empty"));
  };
  fails(mlx_exp(result.out(), array, cpu_), "mlx_array");
  fails(mlx_array_set(result.out(), array), "mlx_array");
  fails(mlx_array_tostring(text.out(), array), "mlx_array");
  fails(mlx_array_item_bool(&flag, array), "mlx_array");
  fails(_mlx_array_is_available(&flag, array), "mlx_array");
  fails(mlx_concatenate_axis(result.out(), vector, 0, cpu_), "mlx_vector_array");
  fails(mlx_eval(vector), "mlx_vector_array");
  fails(mlx_closure_apply(results.out(), closure, vector), "mlx_closure");
  fails(mlx_compile(function.out(), closure, false), "mlx_closure");
  fails(mlx_set_default_device(mlx_device_new()), "mlx_device");
  fails(mlx_stream_get_index(&number, mlx_stream_new()), "mlx_stream");
  const Array one(mlx_array_new_int(1));
  fails(mlx_exp(result.out(), one, mlx_stream_new()), "mlx_stream");
  fails(mlx_vector_array_append_value(vector, one), "mlx_vector_array");
  fails(mlx_device_info_has_key(&flag, mlx_device_info_new(), "x"), "mlx_device_info");

  EXPECT_EQ(mlx_array_shape(array), nullptr);
  fails(1, "mlx_array");
  EXPECT_EQ(mlx_array_data_float32(array), nullptr);
  fails(1, "mlx_array");
  EXPECT_EQ(mlx_array_ndim(array), 0u);
  fails(1, "mlx_array");
  EXPECT_EQ(mlx_string_data(mlx_string_new()), nullptr);
  fails(1, "mlx_string");
  EXPECT_FALSE(mlx_stream_equal(cpu_, mlx_stream_new()));
  fails(1, "mlx_stream");
  EXPECT_EQ(mlx_vector_array_new_value(array).ctx, nullptr);
  fails(1, "mlx_array");
}

TEST_F(BundledTest, FreeingEmptyHandlesDoesNothing) {
  EXPECT_EQ(mlx_array_free(mlx_array_new()), 0);
  EXPECT_EQ(mlx_closure_free(mlx_closure_new()), 0);
  EXPECT_EQ(mlx_device_free(mlx_device_new()), 0);
  EXPECT_EQ(mlx_stream_free(mlx_stream_new()), 0);
  EXPECT_EQ(mlx_string_free(mlx_string_new()), 0);
}

TEST_F(BundledTest, NullPointersGiveAnErrorAndNoCrash) {
  const Array a(mlx_array_new_int(1));
  Array result;
  EXPECT_NE(mlx_exp(nullptr, a, cpu_), 0);
  EXPECT_THAT(error(), HasSubstr("result pointer is null"));
  EXPECT_NE(mlx_array_item_int32(nullptr, a), 0);
  EXPECT_THAT(error(), HasSubstr("result pointer is null"));
  EXPECT_NE(mlx_reshape(result.out(), a, nullptr, 2, cpu_), 0);
  EXPECT_THAT(error(), HasSubstr("a list of 2 values is a null pointer"));
  EXPECT_EQ(mlx_reshape(result.out(), a, nullptr, 0, cpu_), 0);
  EXPECT_NE(mlx_linalg_eigh(result.out(), result.out(), a, nullptr, cpu_), 0);
  EXPECT_THAT(error(), HasSubstr("null pointer"));
  EXPECT_EQ(mlx_string_new_data(nullptr).ctx, nullptr);
  EXPECT_THAT(error(), HasSubstr("null pointer"));
}

TEST_F(BundledTest, ResultHandleIsFilledThenReplaced) {
  const Array one(mlx_array_new_int(1)), two(mlx_array_new_int(2));
  Array result;
  ASSERT_EQ(mlx_add(result.out(), one, two, cpu_), 0);
  void* const object = result.raw.ctx;
  EXPECT_THAT(values_of(result), ElementsAre(3));
  ASSERT_EQ(mlx_add(result.out(), result, result, cpu_), 0);
  EXPECT_EQ(result.raw.ctx, object);
  EXPECT_THAT(values_of(result), ElementsAre(6));
  ASSERT_EQ(mlx_array_set(result.out(), result), 0);
  EXPECT_THAT(values_of(result), ElementsAre(6));
}

TEST_F(BundledTest, FailedCallLeavesTheResultHandleAsItWas) {
  const Array a(floats({1, 2}, {2})), b(floats({1, 2, 3}, {3}));
  Array result(mlx_array_new_int(5));
  EXPECT_NE(mlx_add(result.out(), a, b, cpu_), 0);
  EXPECT_THAT(error(), HasSubstr("broadcast"));
  EXPECT_THAT(values_of(result), ElementsAre(5));
}

// The outputs of one primitive refer to each other; the address sanitizer's leak check judges this
// test.
TEST_F(BundledTest, ReplacingOutputsOfOnePrimitiveFreesThem) {
  const Array a(floats({1, 0, 0, 1}, {2, 2}));
  Array q, r;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(mlx_linalg_qr(q.out(), r.out(), a, cpu_), 0);
  ASSERT_EQ(mlx_array_set_int(q.out(), 0), 0);
  ASSERT_EQ(mlx_array_set_int(r.out(), 0), 0);
}

TEST_F(BundledTest, NewDataCopiesEveryTypeBitForBit) {
  const mlx_dtype types[] = {MLX_BOOL,    MLX_UINT8,   MLX_UINT16,   MLX_UINT32,   MLX_UINT64,
                             MLX_INT8,    MLX_INT16,   MLX_INT32,    MLX_INT64,    MLX_FLOAT16,
                             MLX_FLOAT32, MLX_FLOAT64, MLX_BFLOAT16, MLX_COMPLEX64};
  const std::size_t sizes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2, 8};
  for (std::size_t t = 0; t < std::size(types); ++t) {
    EXPECT_EQ(mlx_dtype_size(types[t]), sizes[t]);
    // One byte in front: the source is aligned for nothing wider than a byte. 0x7f81... is a
    // signalling NaN.
    std::vector<std::uint8_t> bytes(1 + 6 * sizes[t]);
    for (std::size_t i = 1; i < bytes.size(); ++i) bytes[i] = i % 2 == 0 ? 0x7f : 0x81;
    if (types[t] == MLX_BOOL) bytes.assign({0, 1, 0, 1, 1, 0, 1});
    const std::vector<std::uint8_t> before(bytes.begin() + 1, bytes.end());
    const int shape[] = {2, 3};
    const Array array(mlx_array_new_data(bytes.data() + 1, shape, 2, types[t]));
    bytes.assign(bytes.size(), 0);
    EXPECT_EQ(mlx_array_dtype(array), types[t]);
    EXPECT_EQ(mlx_array_itemsize(array), sizes[t]);
    EXPECT_EQ(mlx_array_nbytes(array), 6 * sizes[t]);
    EXPECT_THAT(shape_of(array), ElementsAre(2, 3));
    const void* const data = mlx_array_data_uint8(array);
    EXPECT_EQ(std::memcmp(data, before.data(), before.size()), 0) << "type " << types[t];
    EXPECT_EQ(mlx_array_data_complex64(array), data);
    bool available = false, contiguous = false;
    EXPECT_EQ(_mlx_array_is_available(&available, array), 0);
    EXPECT_EQ(_mlx_array_is_row_contiguous(&contiguous, array), 0);
    EXPECT_TRUE(available && contiguous);
  }
}

TEST_F(BundledTest, ScalarsAndEmptyArraysHaveTheirShapes) {
  const float value = 2.5;
  const Array scalar(mlx_array_new_data(&value, nullptr, 0, MLX_FLOAT32));
  EXPECT_EQ(mlx_array_ndim(scalar), 0u);
  EXPECT_EQ(mlx_array_size(scalar), 1u);
  EXPECT_NE(mlx_array_shape(scalar), nullptr);
  const Array empty(floats({}, {3, 0}));
  EXPECT_THAT(shape_of(empty), ElementsAre(3, 0));
  EXPECT_EQ(mlx_array_size(empty), 0u);
  EXPECT_EQ(mlx_array_dim(empty, -2), 3);
  EXPECT_EQ(mlx_array_dim(empty, 2), 0);
  EXPECT_THAT(error(), HasSubstr("no axis 2 in an array of rank 2"));
}

TEST_F(BundledTest, NewDataRejectsWhatCanNotBeAnArray) {
  const int negative[] = {2, -1};
  const int huge[] = {2000000000, 2000000000, 2000000000};
  const int two = 2;
  const float data[2] = {};
  const auto rejects = [&](mlx_array array, const char* text) {
    EXPECT_EQ(array.ctx, nullptr);
    EXPECT_THAT(error(), HasSubstr(text));
  };
  rejects(mlx_array_new_data(data, negative, 2, MLX_FLOAT32), "a dimension is -1");
  rejects(mlx_array_new_data(data, huge, 3, MLX_FLOAT32), "does not fit");
  rejects(mlx_array_new_data(data, &two, -1, MLX_FLOAT32), "-1 dimensions");
  rejects(mlx_array_new_data(data, nullptr, 1, MLX_FLOAT32), "a list of 1 values");
  rejects(mlx_array_new_data(nullptr, &two, 1, MLX_FLOAT32), "data of 8 bytes is a null pointer");
  rejects(mlx_array_new_data(data, &two, 1, static_cast<mlx_dtype>(15)), "15 is no mlx_dtype");
}

TEST_F(BundledTest, ManagedBufferIsReleasedOnce) {
  destroyed = 0;
  float data[2] = {1, 2};
  const int two = 2;
  {
    const Array array(mlx_array_new_data_managed(data, &two, 1, MLX_FLOAT32, [](void* buffer) {
      static_cast<float*>(buffer)[0] = -1;
      ++destroyed;
    }));
    EXPECT_THAT(values_of(array), ElementsAre(1, 2));
  }
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(data[0], -1);
  {
    const Array array(mlx_array_new_data_managed_payload(
        data, &two, 1, MLX_FLOAT32, &destroyed, [](void* count) { ++*static_cast<int*>(count); }));
    const Array unowned(mlx_array_new_data_managed(data, &two, 1, MLX_FLOAT32, nullptr));
  }
  EXPECT_EQ(destroyed, 2);
  const int negative = -2;
  EXPECT_EQ(
      mlx_array_new_data_managed(data, &negative, 1, MLX_FLOAT32, [](void*) { ++destroyed; }).ctx,
      nullptr);
  EXPECT_THAT(error(), HasSubstr("a dimension is -2"));
  EXPECT_EQ(destroyed, 2);
}

TEST_F(BundledTest, ScalarConstructorsAndItemsAgree) {
  bool b = false;
  std::int32_t i = 0;
  float f = 0;
  double d = 0;
  mlx_complex64_t c;
  Array array(mlx_array_new_bool(true));
  ASSERT_EQ(mlx_array_item_bool(&b, array), 0);
  EXPECT_TRUE(b);
  ASSERT_EQ(mlx_array_set_int(array.out(), -7), 0);
  ASSERT_EQ(mlx_array_item_int32(&i, array), 0);
  EXPECT_EQ(i, -7);
  ASSERT_EQ(mlx_array_set_float(array.out(), 0.5f), 0);
  ASSERT_EQ(mlx_array_item_float32(&f, array), 0);
  EXPECT_EQ(f, 0.5f);
  ASSERT_EQ(mlx_array_set_double(array.out(), 0.1), 0);
  ASSERT_EQ(mlx_array_item_float64(&d, array), 0);
  EXPECT_EQ(d, 0.1);
  ASSERT_EQ(mlx_array_set_complex(array.out(), 1, -2), 0);
  ASSERT_EQ(mlx_array_item_complex64(&c, array), 0);
  float parts[2];
  std::memcpy(parts, &c, sizeof c);
  EXPECT_THAT(parts, ElementsAre(1, -2));
}

TEST_F(BundledTest, ItemEvaluatesButNeverReadsAnotherWidth) {
  const Array one(mlx_array_new_int(1));
  Array two;
  ASSERT_EQ(mlx_add(two.out(), one, one, cpu_), 0);
  std::int32_t value = 0;
  ASSERT_EQ(mlx_array_item_int32(&value, two), 0);
  EXPECT_EQ(value, 2);
  double wide = 0;
  EXPECT_NE(mlx_array_item_float64(&wide, two), 0);
  EXPECT_THAT(error(),
              HasSubstr("8 bytes can't be read from an array of 1 elements of type int32"));
  const Array pair(ints({1, 2}, {2}));
  EXPECT_NE(mlx_array_item_int32(&value, pair), 0);
  EXPECT_THAT(error(), HasSubstr("an array of 2 elements"));
}

TEST_F(BundledTest, UnevaluatedArraysHaveNoData) {
  const Array one(mlx_array_new_int(1));
  Array sum;
  ASSERT_EQ(mlx_add(sum.out(), one, one, cpu_), 0);
  EXPECT_EQ(mlx_array_data_int32(sum), nullptr);
  EXPECT_THAT(error(), HasSubstr("the array is not evaluated"));
  EXPECT_NE(_mlx_array_wait(sum), 0);
  EXPECT_THAT(error(), HasSubstr("the array is not evaluated"));
  bool flag = true;
  EXPECT_NE(_mlx_array_is_contiguous(&flag, sum), 0);
  EXPECT_THAT(error(), HasSubstr("the array is not evaluated"));
  EXPECT_EQ(_mlx_array_is_available(&flag, sum), 0);
  EXPECT_FALSE(flag);

  const VectorArray outputs(vector_of({sum}));
  ASSERT_EQ(mlx_async_eval(outputs), 0);
  ASSERT_EQ(_mlx_array_wait(sum), 0);
  EXPECT_EQ(*mlx_array_data_int32(sum), 2);
}

TEST_F(BundledTest, TransposedArrayIsNotRowContiguous) {
  const Array a(floats({1, 2, 3, 4, 5, 6}, {2, 3}));
  const int axes[] = {1, 0};
  Array t;
  ASSERT_EQ(mlx_transpose_axes(t.out(), a, axes, 2, cpu_), 0);
  ASSERT_EQ(mlx_array_eval(t), 0);
  bool row = true, column = false;
  EXPECT_EQ(_mlx_array_is_row_contiguous(&row, t), 0);
  EXPECT_EQ(_mlx_array_is_col_contiguous(&column, t), 0);
  EXPECT_FALSE(row);
  EXPECT_TRUE(column);
  EXPECT_EQ(mlx_array_strides(t)[0], 1u);
  EXPECT_EQ(mlx_array_strides(t)[1], 3u);
}

TEST_F(BundledTest, ToStringPrintsTheElements) {
  const Array a(ints({1, 2}, {2}));
  String text;
  ASSERT_EQ(mlx_array_tostring(text.out(), a), 0);
  EXPECT_STREQ(mlx_string_data(text), "array([1, 2], dtype=int32)");
}

TEST_F(BundledTest, VectorsHoldTheirOwnReferences) {
  const VectorArray vector(mlx_vector_array_new());
  EXPECT_EQ(mlx_vector_array_size(vector), 0u);
  {
    const Array one(mlx_array_new_int(1)), two(mlx_array_new_int(2));
    ASSERT_EQ(mlx_vector_array_append_value(vector, one), 0);
    const mlx_array both[] = {two, one};
    ASSERT_EQ(mlx_vector_array_append_data(vector, both, 2), 0);
    const mlx_array with_empty[] = {two, mlx_array_new()};
    EXPECT_NE(mlx_vector_array_append_data(vector, with_empty, 2), 0);
    EXPECT_THAT(error(), StartsWith("the mlx_array is empty"));
  }
  ASSERT_EQ(mlx_vector_array_size(vector), 3u);
  Array item;
  const int expected[] = {1, 2, 1};
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(mlx_vector_array_get(item.out(), vector, i), 0);
    EXPECT_THAT(values_of(item), ElementsAre(expected[i]));
  }
  EXPECT_NE(mlx_vector_array_get(item.out(), vector, 3), 0);
  EXPECT_THAT(error(), HasSubstr("no element 3 in a vector of 3"));
  VectorArray copy;
  ASSERT_EQ(mlx_vector_array_set(copy.out(), vector), 0);
  ASSERT_EQ(mlx_vector_array_set_value(copy.out(), item), 0);
  EXPECT_EQ(mlx_vector_array_size(copy), 1u);
  EXPECT_EQ(mlx_vector_array_size(vector), 3u);
}

TEST_F(BundledTest, VectorsOfIntsAndStringsHoldCopies) {
  int numbers[] = {3, 4};
  const VectorInt vector(mlx_vector_int_new_data(numbers, 2));
  ASSERT_EQ(mlx_vector_int_append_value(vector, 5), 0);
  numbers[0] = 0;
  int value = 0;
  ASSERT_EQ(mlx_vector_int_get(&value, vector, 0), 0);
  EXPECT_EQ(value, 3);
  EXPECT_EQ(mlx_vector_int_size(vector), 3u);

  const VectorString words(mlx_vector_string_new_value("one"));
  const char* more[] = {"two", "three"};
  ASSERT_EQ(mlx_vector_string_append_data(words, more, 2), 0);
  EXPECT_NE(mlx_vector_string_append_value(words, nullptr), 0);
  EXPECT_THAT(error(), HasSubstr("null pointer"));
  char* word = nullptr;
  ASSERT_EQ(mlx_vector_string_get(&word, words, 2), 0);
  EXPECT_STREQ(word, "three");
}

TEST_F(BundledTest, DeviceHandlesCompareAndDescribeThemselves) {
  const Device cpu(mlx_device_new_type(MLX_CPU, 0)), other(mlx_device_new_type(MLX_CPU, 1));
  Device copy;
  ASSERT_EQ(mlx_device_set(copy.out(), cpu), 0);
  EXPECT_TRUE(mlx_device_equal(cpu, copy));
  EXPECT_FALSE(mlx_device_equal(cpu, other));
  mlx_device_type type = MLX_GPU;
  int index = -1, count = -1;
  bool available = false;
  ASSERT_EQ(mlx_device_get_type(&type, other), 0);
  ASSERT_EQ(mlx_device_get_index(&index, other), 0);
  ASSERT_EQ(mlx_device_is_available(&available, cpu), 0);
  ASSERT_EQ(mlx_device_count(&count, MLX_CPU), 0);
  EXPECT_EQ(type, MLX_CPU);
  EXPECT_EQ(index, 1);
  EXPECT_TRUE(available);
  EXPECT_EQ(count, 1);
  String text;
  ASSERT_EQ(mlx_device_tostring(text.out(), cpu), 0);
  EXPECT_THAT(mlx_string_data(text), HasSubstr("cpu"));
}

TEST_F(BundledTest, DeviceInfoAnswersTwoForAMissingKey) {
  const Device cpu(mlx_device_new_type(MLX_CPU, 0));
  DeviceInfo info;
  ASSERT_EQ(mlx_device_info_get(info.out(), cpu), 0);
  const char* text = nullptr;
  std::size_t size = 0;
  bool flag = true;
  EXPECT_EQ(mlx_device_info_has_key(&flag, info, "no such key"), 0);
  EXPECT_FALSE(flag);
  EXPECT_EQ(mlx_device_info_is_string(&flag, info, "no such key"), 2);
  EXPECT_EQ(mlx_device_info_get_string(&text, info, "no such key"), 2);
  EXPECT_EQ(mlx_device_info_get_size(&size, info, "no such key"), 2);
  VectorString keys;
  ASSERT_EQ(mlx_device_info_get_keys(keys.out(), info), 0);
  for (std::size_t i = 0; i < mlx_vector_string_size(keys); ++i) {
    char* key = nullptr;
    ASSERT_EQ(mlx_vector_string_get(&key, keys, i), 0);
    ASSERT_EQ(mlx_device_info_is_string(&flag, info, key), 0);
    EXPECT_EQ(mlx_device_info_get_string(&text, info, key), flag ? 0 : 2);
    EXPECT_EQ(mlx_device_info_get_size(&size, info, key), flag ? 2 : 0);
  }
}

TEST_F(BundledTest, StreamsCompareByIndexAndDevice) {
  const Device cpu(mlx_device_new_type(MLX_CPU, 0));
  const Stream stream(mlx_stream_new_device(cpu));
  EXPECT_FALSE(mlx_stream_equal(stream, cpu_));
  Stream copy;
  ASSERT_EQ(mlx_stream_set(copy.out(), stream), 0);
  EXPECT_TRUE(mlx_stream_equal(stream, copy));
  Device device;
  ASSERT_EQ(mlx_stream_get_device(device.out(), stream), 0);
  EXPECT_TRUE(mlx_device_equal(device, cpu));
  const Array one(mlx_array_new_int(1));
  Array sum;
  ASSERT_EQ(mlx_add(sum.out(), one, one, stream), 0);
  ASSERT_EQ(mlx_array_eval(sum), 0);
  EXPECT_EQ(mlx_synchronize(stream), 0);
  Stream standard;
  ASSERT_EQ(mlx_get_default_stream(standard.out(), cpu), 0);
  EXPECT_TRUE(mlx_stream_equal(standard, cpu_));
  ASSERT_EQ(mlx_set_default_stream(stream), 0);
  ASSERT_EQ(mlx_get_default_stream(copy.out(), cpu), 0);
  EXPECT_TRUE(mlx_stream_equal(copy, stream));
  ASSERT_EQ(mlx_set_default_stream(standard), 0);
}

TEST_F(BundledTest, MemoryLimitsAnswerTheFormerLimit) {
  std::size_t former = 0, limit = 0, active = 0, peak = 0;
  ASSERT_EQ(mlx_set_memory_limit(&former, std::size_t{1} << 40), 0);
  ASSERT_EQ(mlx_get_memory_limit(&limit), 0);
  EXPECT_EQ(limit, std::size_t{1} << 40);
  ASSERT_EQ(mlx_set_memory_limit(&limit, former), 0);
  ASSERT_EQ(mlx_set_cache_limit(&former, 0), 0);
  ASSERT_EQ(mlx_set_cache_limit(&limit, former), 0);
  EXPECT_EQ(limit, 0u);
  const Array array(floats(std::vector<float>(1000), {1000}));
  ASSERT_EQ(mlx_get_active_memory(&active), 0);
  ASSERT_EQ(mlx_get_peak_memory(&peak), 0);
  EXPECT_GE(active, 4000u);
  EXPECT_GE(peak, active);
  EXPECT_EQ(mlx_reset_peak_memory(), 0);
  EXPECT_EQ(mlx_clear_cache(), 0);
  EXPECT_EQ(mlx_get_cache_memory(&limit), 0);
}

TEST_F(BundledTest, VersionHasThreeParts) {
  String version;
  ASSERT_EQ(mlx_version(version.out()), 0);
  EXPECT_THAT(mlx_string_data(version), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+.*"));
}

TEST_F(BundledTest, ErrorsOfSeveralThreadsAllArrive) {
  static std::atomic<int> reports;
  reports = 0;
  mlx_set_error_handler([](const char*, void*) { ++reports; }, nullptr, nullptr);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 100; ++i) mlx_array_eval(mlx_array_new());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reports, 400);
}

}  // namespace
}  // namespace mlxnx::bundled
