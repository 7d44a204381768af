#include "files/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "error_of.h"
#include "files/recorded_blocks.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

using mlxnx::testing_support::error_of;
using testing_support::is_same;
using testing_support::recorded_blocks;

TEST(DecodeBlocks, GivesWhatTheReferenceGives) {
  std::set<StoredType> types;
  for (const auto& [type, blocks, expected] : recorded_blocks("decoded.bin")) {
    types.insert(type);
    std::vector<float> decoded(expected.size(), -1.0f);
    decode_blocks(type, blocks, decoded);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_PRED2(is_same, decoded[i], expected[i])
          << row_of(type).name << ", block " << i / row_of(type).per_block << ", element "
          << i % row_of(type).per_block;
    }
  }
  for (const StoredTypeRow& row : kStoredTypes)
    EXPECT_EQ(types.contains(row.type), is_block_type(row.type)) << row.name;
}

TEST(DecodeBlocks, RefusesWhatDoesNotFit) {
  std::vector<std::byte> blocks(36);
  std::vector<float> out(64);
  EXPECT_EQ(error_of<ArgumentError>(
                [&] { decode_blocks(StoredType::kQ4_0, std::span(blocks).first(35), out); }),
            "35 bytes of Q4_0 can't be decoded to 64 elements");
  EXPECT_EQ(error_of<ArgumentError>(
                [&] { decode_blocks(StoredType::kQ4_0, blocks, std::span(out).first(63)); }),
            "36 bytes of Q4_0 can't be decoded to 63 elements");
  EXPECT_EQ(error_of<ArgumentError>([&] { decode_blocks(StoredType::kF16, blocks, out); }),
            "elements of type f16 lie in no blocks");
  decode_blocks(StoredType::kQ4_0, {}, {});
}

TEST(EncodeBlocks, GivesWhatTheReferenceGives) {
  std::set<StoredType> types;
  for (const auto& [type, expected, floats] : recorded_blocks("encoded.bin")) {
    types.insert(type);
    std::vector<std::byte> encoded(expected.size());
    encode_blocks(type, floats, encoded);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(encoded[i], expected[i])
          << row_of(type).name << ", block " << i / row_of(type).block_bytes << ", byte "
          << i % row_of(type).block_bytes;
    }
  }
  EXPECT_EQ(types.size(), 3u);
}

std::string refusal(StoredType type, std::vector<float> elements) {
  std::vector<std::byte> blocks(elements.size() / 32 * row_of(type).block_bytes);
  return error_of<ArgumentError>([&] { encode_blocks(type, elements, blocks); });
}

TEST(EncodeBlocks, RefusesWhatBlocksCannotHold) {
  for (const StoredType type : {StoredType::kQ8_0, StoredType::kQ4_0, StoredType::kQ4_1}) {
    const std::string ending = ", which " + std::string(row_of(type).name) + " can't hold";
    const auto with = [](float element) {
      std::vector<float> elements(64, 1.0f);
      elements[37] = element;
      return elements;
    };
    EXPECT_EQ(refusal(type, with(std::nanf(""))), "element 37 is nan" + ending);
    EXPECT_EQ(refusal(type, with(std::numeric_limits<float>::infinity())),
              "element 37 is inf" + ending);
    EXPECT_EQ(refusal(type, with(-1e30f)), "element 37 is -1e+30" + ending);
  }
  // Each of them is a float, and their difference is none.
  std::vector<float> far_apart(32, 3e38f);
  far_apart[5] = -3.1e38f;
  EXPECT_EQ(refusal(StoredType::kQ4_1, far_apart), "element 5 is -3.1e+38, which Q4_1 can't hold");
  // All are the same, so that the step is nothing, and the least one is beyond f16.
  EXPECT_EQ(refusal(StoredType::kQ4_1, std::vector<float>(32, 1e6f)),
            "element 0 is 1000000, which Q4_1 can't hold");
}

TEST(EncodeBlocks, RefusesWhatDoesNotFit) {
  std::vector<std::byte> blocks(34);
  const std::vector<float> elements(64);
  EXPECT_EQ(error_of<ArgumentError>([&] { encode_blocks(StoredType::kQ8_0, elements, blocks); }),
            "64 elements can't be encoded to 34 bytes of Q8_0");
  EXPECT_EQ(error_of<ArgumentError>(
                [&] { encode_blocks(StoredType::kQ8_0, std::span(elements).first(33), blocks); }),
            "33 elements can't be encoded to 34 bytes of Q8_0");
  EXPECT_EQ(error_of<ArgumentError>([&] { encode_blocks(StoredType::kQ4_K, elements, blocks); }),
            "nothing is encoded to blocks of type Q4_K; to Q8_0, Q4_0, Q4_1");
}

}  // namespace
}  // namespace mlxnx::files
