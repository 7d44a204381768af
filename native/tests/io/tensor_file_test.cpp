#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf_bytes.h"
#include "io/tensor_file_contents.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/quantize.h"
#include "small_floats.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
namespace gguf = files::testing_support;

// Two rows of a block of Q8_0, which the form of 8 bits holds, one of Q6_K, which none holds, and a
// vector. The scales of the first are `scale`, an f16.
std::string gguf_file(std::uint16_t scale) {
  gguf::GgufBytes bytes;
  std::string block = gguf::bytes_of(scale);
  for (int i = 0; i < 32; ++i) block += static_cast<char>(i - 16);
  const std::string q8 = block + block + std::string(28, '\0');
  bytes.tensors = {gguf::tensor("q8", {32, 2}, 8, 0), gguf::tensor("q6", {256, 1}, 14, 96),
                   gguf::tensor("row", {32}, 8, 320)};
  bytes.elements = q8 + std::string(224, '\0') + block;
  return bytes.file();
}

constexpr std::uint16_t kHalf = 0x3800, kInfinity = 0x7c00;

TEST(TensorFile, TellsTheTypesOfWhatItReads) {
  const testing_support::TempFolder folder;
  folder.write("x.gguf", gguf_file(kHalf));
  const TensorFile file(folder / "x.gguf");
  for (const TensorInfo& tensor : file.tensors())
    EXPECT_EQ(file.read(tensor.name).type(), (TensorType{tensor.dtype, tensor.shape}));
  EXPECT_EQ(file.find("q8")->type, "Q8_0");
  EXPECT_EQ(file.contents().file.gguf()->tensors.size() + file.tensors().size(), 3u);
}

// Large enough to be left in the file.
const Tensor& large() {
  static const Tensor tensor = as_type(iota({512, 1024}), DType::f32);
  return tensor;
}

TEST(TensorFile, LeavesLargeTensorsInThePagesOfTheFile) {
  if (is_available(Device::kGpu)) GTEST_SKIP() << "GPUs copy what they read";
  const testing_support::TempFolder folder;
  const std::filesystem::path path = folder / "x.safetensors";
  save_safetensors(path, {{"x", large()}});
  const TensorFile file(path);
  const std::size_t before = memory_info().active_bytes;
  Tensor read = file.read("x");
  EXPECT_EQ(read.to_bytes(), large().to_bytes());
  EXPECT_EQ(memory_info().active_bytes, before) << "MLX holds a copy";
  // What is computed where a dead operand lay leaves the file and its other tensors alone.
  const Tensor kept = file.read("x");
  Tensor changed = std::move(read) + 1.0;
  read = Tensor();
  eval(changed);
  EXPECT_EQ(kept.to_bytes(), large().to_bytes());
  EXPECT_EQ(TensorFile(path).read("x").to_bytes(), large().to_bytes());
  EXPECT_EQ(changed.to_bytes(), (large() + 1.0).to_bytes());
}

TEST(TensorFile, CopiesWhereMappingsWouldRunOut) {
  if (is_available(Device::kGpu)) GTEST_SKIP() << "GPUs copy what they read";
  const testing_support::TempFolder folder;
  save_safetensors(folder / "x.safetensors", {{"x", large()}});
  const TensorFile file(folder / "x.safetensors");
  std::vector<files::Pages> taken;
  while (files::Pages::have_room()) taken.push_back(files::Pages::of_memory(1));
  const std::size_t before = memory_info().active_bytes;
  const Tensor copied = file.read("x");
  EXPECT_GE(memory_info().active_bytes, before + large().byte_size());
  EXPECT_EQ(copied.to_bytes(), large().to_bytes());
  taken.clear();
  EXPECT_TRUE(files::Pages::have_room());
}

TEST(TensorFile, ReadsFloatsOfEightBitsAsBf16) {
  constexpr std::pair<const char*, float (*)(std::uint8_t)> kTypes[] = {
      {"F8_E4M3", testing_support::e4m3},
      {"F8_E5M2", testing_support::e5m2},
      {"F8_E8M0", testing_support::e8m0}};
  for (const auto& [type, number] : kTypes) {
    const std::string header =
        std::string(R"({"x":{"dtype":")") + type + R"(","shape":[256],"data_offsets":[0,256]}})";
    const std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    bytes += header;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    const testing_support::TempFolder folder;
    folder.write("x.safetensors", bytes);
    const Tensor read = TensorFile(folder / "x.safetensors").read("x");
    EXPECT_EQ(read.type(), (TensorType{DType::bf16, {256}}));
    const std::vector<float> values = as_type(read, DType::f32).to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float expected = number(static_cast<std::uint8_t>(i));
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(values[i]) : values[i] == expected)
          << type << " " << i << ": " << values[i] << ", and not " << expected;
    }
  }
}

TEST(TensorFile, TellsNaturalsOfAnySizeAsTexts) {
  const testing_support::TempFolder folder;
  gguf::GgufBytes bytes;
  bytes.keys = {gguf::key("most", files::GgufType::kU64, gguf::bytes_of(~std::uint64_t{0})),
                gguf::key("less", files::GgufType::kS8, gguf::bytes_of(std::int8_t{-1}))};
  folder.write("x.gguf", bytes.file());
  const TensorFile file(folder / "x.gguf");
  EXPECT_EQ(file.metadata().at("most"), "18446744073709551615");
  EXPECT_EQ(file.metadata().at("less"), "-1");
  EXPECT_EQ(file.contents().file.gguf()->at("most").as_natural(), ~std::uint64_t{0});
  EXPECT_THROW(file.contents().file.gguf()->at("less").as_natural(), FormatError);
}

TEST(TensorFile, ReadsBlocksInFewBits) {
  const testing_support::TempFolder folder;
  folder.write("x.gguf", gguf_file(kHalf));
  const TensorFile file(folder / "x.gguf");
  const auto matrix = file.read_quantized("q8");
  ASSERT_TRUE(matrix.has_value());
  EXPECT_EQ(matrix->form, (Quantization{.bits = 8, .group_size = 32}));
  EXPECT_EQ(dequantize(*matrix, DType::f32).to_vector<float>(), file.read("q8").to_vector<float>());
  EXPECT_EQ(file.read("q8").to_vector<float>().front(), -8.0f);
  // No form, and no matrix.
  EXPECT_FALSE(file.read_quantized("q6").has_value());
  EXPECT_FALSE(file.read_quantized("row").has_value());
  EXPECT_THROW(file.read_quantized("q"), ArgumentError);

  folder.write("y.gguf", gguf_file(kInfinity));
  const TensorFile other(folder / "y.gguf");
  EXPECT_THAT([&] { (void)other.read_quantized("q8"); },
              ThrowsMessage<UnsupportedError>(HasSubstr("\"q8\" of Q8_0")));
}

TEST(TensorFile, TellsWhatTheSystemRefuses) {
  const testing_support::TempFolder folder;
  const auto code = [](auto call) {
    try {
      call();
    } catch (const FileError& error) {
      return std::pair(error.code(), error.action());
    }
    return std::pair(0, std::string());
  };
  EXPECT_EQ(code([&] { TensorFile(folder / "none"); }),
            std::pair(ENOENT, std::string("read file")));
  EXPECT_EQ(code([&] { TensorFile{folder.path()}; }), std::pair(EISDIR, std::string("read file")));
  EXPECT_EQ(code([&] { save_safetensors(folder / "none" / "x", {}); }),
            std::pair(ENOENT, std::string("write to file")));
}

}  // namespace
}  // namespace mlxnx
