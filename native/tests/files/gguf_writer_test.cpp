#include "files/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "error_of.h"
#include "files/gguf_bytes.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using mlxnx::testing_support::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

StoredTensor tensor(std::string name, StoredType type, Shape shape) {
  return {.name = std::move(name), .type = type, .shape = std::move(shape)};
}

class GgufWriter : public testing::Test {
 protected:
  ~GgufWriter() override {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  // The file with elements that count up from the tensor's number, in pieces of `piece` bytes.
  std::string written(const std::vector<GgufEntry>& metadata,
                      const std::vector<StoredTensor>& tensors, std::size_t piece = 7) {
    AtomicFile file(path_, "test");
    write_gguf(file, metadata, tensors, [&](std::size_t i, const GgufSink& sink) {
      const std::string elements = elements_of(tensors, i);
      for (std::size_t at = 0; at < elements.size(); at += piece)
        sink(bytes_of(elements.substr(at, piece)));
    });
    file.commit();
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  static std::string elements_of(const std::vector<StoredTensor>& tensors, std::size_t i) {
    std::string elements(stored_bytes(tensors[i].type, tensors[i].shape), '\0');
    for (std::size_t k = 0; k < elements.size(); ++k) elements[k] = static_cast<char>(i + k);
    return elements;
  }

  fs::path path_ = fs::temp_directory_path() / ("mlxnx_" + std::to_string(::getpid()) + ".gguf");
};

TEST_F(GgufWriter, WritesTensorsThatAreReadBack) {
  const std::vector<StoredTensor> tensors = {
      tensor("f32", StoredType::kF32, {3}),          tensor("f16", StoredType::kF16, {2, 1, 3}),
      tensor("bf16", StoredType::kBF16, {5}),        tensor("scalar", StoredType::kF64, {}),
      tensor("s8", StoredType::kS8, {33}),           tensor("s16", StoredType::kS16, {1}),
      tensor("s32", StoredType::kS32, {1, 1}),       tensor("s64", StoredType::kS64, {2}),
      tensor("Q8_0", StoredType::kQ8_0, {2, 32}),    tensor("Q4_0", StoredType::kQ4_0, {64}),
      tensor("Q4_1", StoredType::kQ4_1, {3, 32}),    tensor("Q6_K", StoredType::kQ6_K, {256}),
      tensor("four", StoredType::kF32, {1, 2, 1, 4})};
  const std::string file = written({}, tensors);
  const GgufFile read = parse_gguf(bytes_of(file));
  EXPECT_EQ(read.version, 3u);
  ASSERT_EQ(read.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& tensor = read.tensors[i];
    EXPECT_EQ(tensor.name, tensors[i].name);
    EXPECT_EQ(tensor.type, tensors[i].type);
    EXPECT_EQ(to_string(tensor.shape), to_string(tensors[i].shape));
    EXPECT_EQ(file.substr(tensor.offset, tensor.bytes), elements_of(tensors, i)) << tensor.name;
  }
  EXPECT_EQ(file.size() % 32, 0u);
}

TEST_F(GgufWriter, WritesValuesThatAreReadBack) {
  const std::string file = written({{"bool", true},
                                    {"u8", std::uint8_t{255}},
                                    {"s8", std::int8_t{-128}},
                                    {"u16", std::uint16_t{65535}},
                                    {"s16", std::int16_t{-32768}},
                                    {"u32", std::uint32_t{4294967295}},
                                    {"s32", std::int32_t{-5}},
                                    {"u64", std::uint64_t{1} << 63},
                                    {"s64", std::numeric_limits<std::int64_t>::min()},
                                    {"f32", 0.1f},
                                    {"f64", 0.1},
                                    {"text", "a\0\xff"s},
                                    {"bools", std::vector<bool>{true, false}},
                                    {"u8s", std::vector<std::uint8_t>{1, 2}},
                                    {"s16s", std::vector<std::int16_t>{-1}},
                                    {"s64s", std::vector<std::int64_t>{-1, 1}},
                                    {"f32s", std::vector<float>{0.5f}},
                                    {"texts", std::vector<std::string>{"x", "", "yz"}},
                                    {"none", std::vector<std::string>{}}},
                                   {});
  const GgufFile read = parse_gguf(bytes_of(file));
  EXPECT_EQ(read.size(), 19u);
  EXPECT_EQ(read.value(0).key(), "bool");
  EXPECT_TRUE(read.at("bool").as_boolean());
  const std::vector<std::pair<const char*, std::string>> shown = {
      {"u8", "u8 255"},
      {"s8", "s8 -128"},
      {"u16", "u16 65535"},
      {"s16", "s16 -32768"},
      {"u32", "u32 4294967295"},
      {"s32", "s32 -5"},
      {"u64", "u64 9223372036854775808"},
      {"s64", "s64 -9223372036854775808"},
      {"f32", "f32 0.1"},
      {"f64", "f64 0.1"},
      {"u8s", "a list of 2 u8"},
      {"s64s", "a list of 2 s64"},
      {"none", "a list of 0 text"}};
  for (const auto& [key, text] : shown) EXPECT_EQ(read.at(key).shown(), text);
  EXPECT_EQ(read.at("text").as_text(), "a\0\xff"s);
  EXPECT_THAT(read.at("bools").as_booleans(), ElementsAre(true, false));
  EXPECT_THAT(read.at("s16s").as_integers(), ElementsAre(-1));
  EXPECT_THAT(read.at("f32s").as_numbers(), ElementsAre(0.5));
  EXPECT_THAT(read.at("texts").as_texts(), ElementsAre("x", "", "yz"));
}

TEST_F(GgufWriter, WritesValuesOfOtherFilesAsTheyAre) {
  const std::string items = testing_support::list(
      GgufType::kList, 2,
      testing_support::list(GgufType::kU16, 1, "ab") +
          testing_support::list(GgufType::kText, 1, testing_support::text("x")));
  const std::string other =
      testing_support::GgufBytes{.keys = {testing_support::key("x", GgufType::kList, items)}}
          .file();
  const std::string file = written({{"y", parse_gguf(bytes_of(other)).at("x")}}, {});
  const auto encoded = parse_gguf(bytes_of(file)).at("y").encoded();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(encoded.data()), encoded.size()), items);
}

TEST_F(GgufWriter, AlignsAsTheMetadataSays) {
  const std::vector<StoredTensor> tensors = {tensor("a", StoredType::kS8, {1}),
                                             tensor("b", StoredType::kS8, {1})};
  for (const std::uint32_t alignment : {1u, 16u, 4096u}) {
    const std::string file = written({{"general.alignment", alignment}}, tensors);
    const GgufFile read = parse_gguf(bytes_of(file));
    EXPECT_EQ(read.alignment, alignment);
    EXPECT_EQ(read.tensors[0].offset % alignment, 0u);
    EXPECT_EQ(read.tensors[1].offset, read.tensors[0].offset + alignment);
    EXPECT_EQ(file.size() % alignment, 0u);
    const std::string again =
        written({{"general.alignment", read.at("general.alignment")}}, tensors);
    EXPECT_EQ(again, file);
  }
  for (const GgufData& wrong :
       {GgufData(std::uint32_t{0}), GgufData(std::uint32_t{24}), GgufData(std::int32_t{32})}) {
    EXPECT_EQ(error_of<ArgumentError>([&] {
                written({{"general.alignment", wrong}}, tensors);
              }),
              "general.alignment is no u32 that is a power of two");
  }
}

TEST_F(GgufWriter, WantsAllElementsAndNoMore) {
  const auto writing = [&](std::size_t count) {
    AtomicFile file(path_, "test");
    const StoredTensor x = tensor("x", StoredType::kF32, {2});
    const std::string elements(count, 'x');
    write_gguf(file, {}, std::span(&x, 1),
               [&](std::size_t, const GgufSink& sink) { sink(bytes_of(elements)); });
    file.commit();
  };
  EXPECT_EQ(error_of<ArgumentError>([&] { writing(7); }),
            "tensor \"x\": 7 bytes of elements, and it has 8");
  EXPECT_EQ(error_of<ArgumentError>([&] { writing(9); }),
            "tensor \"x\": 9 bytes of elements, and it has 8");
  EXPECT_FALSE(fs::exists(path_));
  writing(8);
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(GgufWriter, RefusesNamesThatReadersRefuse) {
  const auto says = [&](std::vector<std::string> keys, std::vector<std::string> names) {
    return error_of<ArgumentError>([&] {
      std::vector<GgufEntry> metadata;
      for (std::string& key : keys) metadata.push_back({std::move(key), true});
      std::vector<StoredTensor> tensors;
      for (std::string& name : names)
        tensors.push_back(tensor(std::move(name), StoredType::kF32, {1}));
      gguf_header(metadata, tensors);
    });
  };
  EXPECT_EQ(says({"a", "b", "a"}, {}), "key \"a\" stands twice");
  EXPECT_EQ(says({}, {"a", "a"}), "tensor \"a\" stands twice");
  EXPECT_EQ(says({""}, {}), "key \"\": an empty name");
  EXPECT_EQ(says({"\xff"}, {}), R"(key "\xff": the name is not UTF-8)");
  EXPECT_THAT(says({}, {"a\0b"s}), HasSubstr("a NUL in the name"));
}

TEST_F(GgufWriter, RefusesTensorsThatTheFormatLacks) {
  const auto header = [](StoredType type, Shape shape) {
    const StoredTensor x = tensor("x", type, std::move(shape));
    gguf_header({}, std::span(&x, 1));
  };
  EXPECT_EQ(error_of<UnsupportedError>([&] { header(StoredType::kU16, {1}); }),
            "tensor \"x\": the format has no elements of type u16");
  EXPECT_EQ(error_of<UnsupportedError>([&] {
              header(StoredType::kF32, {1, 1, 1, 1, 1});
            }),
            "tensor \"x\": the format has elements in at most 4 dimensions, and none of {1, 1, 1, "
            "1, 1}");
  EXPECT_EQ(error_of<UnsupportedError>([&] {
              header(StoredType::kF32, {2, 0});
            }),
            "tensor \"x\": the format has elements in at most 4 dimensions, and none of {2, 0}");
  EXPECT_THAT(error_of<ArgumentError>([&] {
                header(StoredType::kQ8_0, {16, 2});
              }),
              HasSubstr("tensor \"x\": Q8_0 of shape {16, 2}: rows are no multiple"));
  EXPECT_THROW(header(StoredType::kF32, {-1}), ArgumentError);
}

TEST_F(GgufWriter, RefusesMoreThanReadersTake) {
  const std::vector<StoredTensor> tensors(65537);
  EXPECT_EQ(error_of<UnsupportedError>([&] { gguf_header({}, tensors); }),
            "65537 tensors; a file has at most 65536");
}

}  // namespace
}  // namespace mlxnx::files
