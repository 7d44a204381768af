// numpy's archives as tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class NpzFile : public testing::Test {
 protected:
  void SetUp() override {
    try {
      save_npz(path(), {});
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path().string()), HasSubstr("install libzip")));
      GTEST_SKIP() << error.what();
    }
  }
  fs::path path() const { return folder_ / "x.npz"; }
  std::string bytes() const {
    std::ostringstream text;
    text << std::ifstream(path(), std::ios::binary).rdbuf();
    return text.str();
  }
  testing_support::TempFolder folder_;
};

TEST_F(NpzFile, KeepsTensorsOfEveryTypeByTheirNames) {
  std::map<std::string, Tensor> tensors;
  for (const DType type : kDTypes) {
    if (type == DType::bf16) continue;
    tensors.emplace("layers/0/" + std::string(name(type)),
                    transpose(as_type(iota({200, 30}), type)));
  }
  tensors.emplace("empty", Tensor::from_bytes({}, {DType::f32, {0, 3}}));
  tensors.emplace("scalar", Tensor(7));
  for (const bool compressed : {false, true}) {
    save_npz(path(), tensors, {.compressed = compressed});
    const auto read = load_npz(path());
    ASSERT_EQ(read.size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
      EXPECT_EQ(read.at(name).type(), tensor.type());
      EXPECT_EQ(read.at(name).to_bytes(), tensor.to_bytes()) << name;
    }
  }
}

TEST_F(NpzFile, IsSmallerWhereItIsCompressed) {
  const Tensor zeros =
      Tensor::from_bytes(std::vector<std::byte>(1'000'000), {DType::u8, {1000000}});
  save_npz(path(), {{"x", zeros}});
  EXPECT_GT(fs::file_size(path()), 1'000'000u);
  save_npz(path(), {{"x", zeros}}, {.compressed = true});
  EXPECT_LT(fs::file_size(path()), 2'000u);
  EXPECT_EQ(load_npz(path()).at("x").to_bytes(), zeros.to_bytes());
}

TEST_F(NpzFile, HoldsEqualBytesForEqualTensors) {
  const auto save = [&] {
    save_npz(path(), {{"x", tensor({1, 2})}, {"y", tensor({3.0})}});
    return bytes();
  };
  const std::string first = save();
  EXPECT_EQ(save(), first);
  EXPECT_TRUE(load_npz(path()).contains("y"));
  save_npz(path(), {});
  EXPECT_TRUE(load_npz(path()).empty());
}

TEST_F(NpzFile, ReplacesAFileAtOnceOrLeavesIt) {
  save_npz(path(), {{"x", tensor({1, 2})}});
  const std::string before = bytes();
  EXPECT_THAT(
      [&] {
        save_npz(path(), {{"y", Tensor(Number(1.0), DType::bf16)}});
      },
      ThrowsMessage<UnsupportedError>(
          AllOf(HasSubstr("tensor \"y\": numpy has no type bf16"), HasSubstr("x.npz"))));
  EXPECT_THAT(
      [&] {
        save_npz(path(), {{std::string("a\0b", 3), tensor({1})}});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("can't be named \"a\\x00b\"")));
  EXPECT_THROW(save_npz(path(), {{"\xff", tensor({1})}}), ArgumentError);
  EXPECT_EQ(bytes(), before);
  EXPECT_EQ(folder_.count(), 1);
#ifdef __linux__
  EXPECT_THAT(
      [&] {
        save_npz("/dev/full", {{"x", tensor({1})}});
      },
      ThrowsMessage<ArgumentError>(HasSubstr("/dev/full can't be written")));
#endif
}

TEST_F(NpzFile, IsNamedInErrors) {
  std::ofstream(path()) << "no archive";
  EXPECT_THAT([&] { load_npz(path()); },
              ThrowsMessage<FormatError>(
                  AllOf(HasSubstr("[npz] " + path().string()), HasSubstr("no zip archive"))));
  EXPECT_THAT([&] { load_npz(folder_ / "none.npz"); },
              ThrowsMessage<ArgumentError>(HasSubstr("No such file")));
}

}  // namespace
}  // namespace mlxnx
