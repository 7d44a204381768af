#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/weights.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Safetensors : public testing::Test {
 protected:
  fs::path file(const char* name) const { return folder_ / name; }
  testing_support::TempFolder folder_;
};

TEST_F(Safetensors, KeepsTensorsOfEveryTypeByTheirNames) {
  std::map<std::string, Tensor> tensors;
  for (const DType type :
       {DType::u8, DType::u16, DType::u32, DType::u64, DType::s8, DType::s16, DType::s32,
        DType::s64, DType::f16, DType::bf16, DType::f32, DType::f64, DType::c64}) {
    tensors.emplace(std::string("layers.0.") + std::string(name(type)),
                    transpose(as_type(iota({2, 3}), type)));
  }
  save_safetensors(file("all.safetensors"), tensors, {{"format", "mlx"}});
  const auto read = load_safetensors(file("all.safetensors"));
  ASSERT_EQ(read.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(read.at(name).type(), tensor.type());
    EXPECT_EQ(read.at(name).to_bytes(), tensor.to_bytes()) << name;
  }
}

TEST_F(Safetensors, ReplacesAFileAtOnceOrLeavesIt) {
  const fs::path path = file("model.safetensors");
  save_safetensors(path, {{"x", tensor({1, 2})}});
  save_safetensors(path, {{"x", tensor({3})}});
  EXPECT_THAT(load_safetensors(path).at("x").to_vector<std::int32_t>(), ElementsAre(3));
  EXPECT_THROW(save_safetensors(path, {{"\xff", tensor({4})}}), ArgumentError);
  EXPECT_THAT(load_safetensors(path).at("x").to_vector<std::int32_t>(), ElementsAre(3));
  EXPECT_EQ(folder_.count(), 1);
}

TEST_F(Safetensors, NamesTheFileInErrors) {
  const auto says = [](const char* text) {
    return AllOf(HasSubstr("x.safetensors"), HasSubstr(text));
  };
  const fs::path path = file("x.safetensors");
  EXPECT_THAT([&] { load_safetensors(path); }, ThrowsMessage<ArgumentError>(says("No such file")));
  EXPECT_THAT([&] { save_safetensors(file("none") / "x.safetensors", {}); },
              ThrowsMessage<ArgumentError>(says("can't be written: No such file")));
  std::ofstream(path) << "no tensors";
  EXPECT_THAT([&] { load_safetensors(path); }, ThrowsMessage<FormatError>(says("a header of")));
  EXPECT_THROW(load_safetensors(fs::temp_directory_path()), ArgumentError);
  EXPECT_EQ(folder_.count(), 1);
}

TEST_F(Safetensors, HoldsTheWeightsOfAModel) {
  const Tensor key = as_type(tensor({0, 7}), DType::u32);
  const nn::Linear model({.input_dims = 3, .output_dims = 2}, key);
  nn::save_weights(model, file("model.safetensors"));
  const nn::Linear other({.input_dims = 3, .output_dims = 2}, as_type(tensor({0, 8}), DType::u32));
  const nn::Linear read = nn::load_weights(other, file("model.safetensors"));
  EXPECT_EQ(read.weight.to_bytes(), model.weight.to_bytes());
  const nn::Linear wider({.input_dims = 4, .output_dims = 2}, key);
  EXPECT_THAT([&] { nn::load_weights(wider, file("model.safetensors")); },
              ThrowsMessage<ArgumentError>(HasSubstr("weight")));
}

}  // namespace
}  // namespace mlxnx
