// numpy's files.
#include "npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mlxnx/error.h"
#include "mlxnx/literal.h"

namespace mlxnx::cli {
namespace {

using testing::HasSubstr;

class Npy : public testing::Test {
 protected:
  ~Npy() override {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  std::string refusal(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    try {
      read_npy(path_);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "taken";
  }
  static std::string file(const std::string& header, const std::string& elements) {
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
    return bytes + header + elements;
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("mlxnx_npy_" + std::to_string(::getpid()) + ".npy");
};

TEST_F(Npy, KeepsEveryTypeAndShape) {
  for (const DType type : kDTypes) {
    if (type == DType::bf16) continue;
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0}, Shape{1, 2, 3}}) {
      const auto count = static_cast<std::size_t>(element_count(shape));
      const std::vector<std::byte> bytes(count * size_bytes(type), std::byte{0x3c});
      write_npy(path_, Tensor::from_bytes(bytes, {type, shape}));
      const Tensor again = read_npy(path_);
      EXPECT_EQ(again.type(), (TensorType{type, shape}));
      EXPECT_EQ(again.to_bytes(), bytes);
    }
  }
}

TEST_F(Npy, ElementsBeginAtAMultipleOf64) {
  write_npy(path_, tensor({1.0, 2.0}));
  EXPECT_EQ(std::filesystem::file_size(path_) % 64, 8u);
}

TEST_F(Npy, RefusesWhatItCanNotHold) {
  EXPECT_THROW(write_npy(path_, Tensor(Number(1.0), DType::bf16)), UnsupportedError);
  EXPECT_THROW(read_npy("/no/such/file.npy"), ArgumentError);
}

TEST_F(Npy, RefusesMalformedFiles) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
  EXPECT_EQ(refusal(file(good, "abcd")), "taken");
  EXPECT_THAT(refusal("nonsense of some length"), HasSubstr("no .npy file"));
  EXPECT_THAT(refusal(file(good, "abcd").substr(0, 40)), HasSubstr("cut off"));
  EXPECT_THAT(refusal(file(good, "abc")), HasSubstr("3 bytes"));
  const std::string bad[] = {
      "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }",
      "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 1 }",
      "{'descr': '<f4', 'fortran_order': False}",
      "{'descr': '",
      "{'descr'",
      ""};
  for (const std::string& header : bad) EXPECT_NE(refusal(file(header, "abcd")), "taken") << header;
}

}  // namespace
}  // namespace mlxnx::cli
