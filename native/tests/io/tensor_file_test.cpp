#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>

#include "files/gguf_bytes.h"
#include "io/temp_folder.h"
#include "io/tensor_file_contents.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/quantize.h"

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
