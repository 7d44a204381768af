// What MLX makes of packed blocks is written here once more, from MLX's description of its words.
#include "files/pack_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <optional>

#include "error_of.h"
#include "files/block_parts.h"
#include "files/blocks.h"
#include "files/recorded_blocks.h"
#include "mlxnx/error.h"
#include "small_floats.h"

namespace mlxnx::files {
namespace {

using mlxnx::testing_support::error_of;
using testing::HasSubstr;
using testing_support::is_same;
using testing_support::recorded_blocks;
using testing_support::RecordedBlocks;

struct Packed {
  PackedForm form;
  StoredType scale_type;
  std::vector<std::uint32_t> words;
  std::vector<std::byte> scales, biases;
};

Packed pack(StoredType type, std::span<const std::byte> blocks, StoredType scale_type) {
  const PackedForm form = *packed_form(type);
  const std::size_t elements = blocks.size() / row_of(type).block_bytes * row_of(type).per_block;
  const std::size_t scale_bytes = elements / form.group_size * row_of(scale_type).block_bytes;
  Packed packed{form, scale_type, std::vector<std::uint32_t>(elements * form.bits / 32),
                std::vector<std::byte>(scale_bytes),
                std::vector<std::byte>(form.has_biases ? scale_bytes : 0)};
  pack_blocks(type, blocks, scale_type, packed.words, packed.scales, packed.biases);
  return packed;
}

float scale_at(const Packed& packed, const std::vector<std::byte>& scales, std::size_t group) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(scales.data());
  switch (packed.scale_type) {
    case StoredType::kF16:
      return f16_at(bytes + 2 * group);
    case StoredType::kF32:
      return std::bit_cast<float>(u32_at(bytes + 4 * group));
    case StoredType::kF8E4M3:
      return mlxnx::testing_support::e4m3(bytes[group]);
    default:
      return mlxnx::testing_support::e8m0(bytes[group]);
  }
}

float element(const Packed& packed, std::size_t index) {
  std::uint32_t quant = 0;
  for (int i = 0; i < packed.form.bits; ++i) {
    const std::size_t bit = index * packed.form.bits + i;
    quant |= (packed.words[bit / 32] >> (bit % 32) & 1) << i;
  }
  const std::size_t group = index / packed.form.group_size;
  const float scale = scale_at(packed, packed.scales, group);
  if (packed.form.has_biases)
    return scale * static_cast<float>(quant) + scale_at(packed, packed.biases, group);
  constexpr std::array<float, 8> kMagnitudes = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return scale * (quant < 8 ? kMagnitudes[quant] : -kMagnitudes[quant - 8]);
}

// Those of the recorded blocks that MLX's form can hold, in one piece.
std::vector<std::byte> packable(const RecordedBlocks& recorded) {
  const std::uint32_t size = row_of(recorded.type).block_bytes;
  std::vector<std::byte> all;
  for (std::size_t at = 0; at < recorded.blocks.size(); at += size) {
    const auto block = std::span(recorded.blocks).subspan(at, size);
    if (packed_scale_type(recorded.type, block)) all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

void expect_exact(StoredType type, std::span<const std::byte> blocks, StoredType scale_type) {
  std::vector<float> expected(blocks.size() / row_of(type).block_bytes * row_of(type).per_block);
  decode_blocks(type, blocks, expected);
  const Packed packed = pack(type, blocks, scale_type);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Both zeros are equal where ggml has no bias.
    const float got = element(packed, i);
    ASSERT_TRUE(is_same(got, expected[i]) || (packed.form.has_biases && got == expected[i]))
        << row_of(type).name << ", " << row_of(scale_type).name << ", element " << i << ": " << got
        << ", not " << expected[i];
  }
}

TEST(PackBlocks, MeansWhatTheBlocksDecodeTo) {
  int forms = 0;
  for (const RecordedBlocks& recorded : recorded_blocks("decoded.bin")) {
    if (!packed_form(recorded.type)) continue;
    ++forms;
    const auto blocks = packable(recorded);
    ASSERT_GT(blocks.size(), recorded.blocks.size() / 2);
    expect_exact(recorded.type, blocks, *packed_scale_type(recorded.type, blocks));
    if (packed_form(recorded.type)->has_biases)
      expect_exact(recorded.type, blocks, StoredType::kF32);
  }
  EXPECT_EQ(forms, 9);
}

TEST(PackBlocks, TakesScalesInF16WhereTheyAreExact) {
  for (const auto& limit :
       {std::pair(StoredType::kQ4_0, 8188.0f), std::pair(StoredType::kQ5_0, 4094.0f),
        std::pair(StoredType::kQ8_0, 511.75f)}) {
    const StoredType type = limit.first;
    const float largest = limit.second;
    const std::uint32_t size = row_of(type).block_bytes;
    const auto scale_type = [&](float scale, float other = 0) {
      std::vector<std::byte> blocks(2 * size, std::byte{0x5a});
      const std::uint16_t halves[] = {f32_as_f16(scale), f32_as_f16(other)};
      std::memcpy(blocks.data(), &halves[0], 2);
      std::memcpy(blocks.data() + size, &halves[1], 2);
      const auto chosen = packed_scale_type(type, blocks);
      if (chosen) expect_exact(type, blocks, *chosen);
      return chosen;
    };
    EXPECT_EQ(scale_type(largest), StoredType::kF16);
    EXPECT_EQ(scale_type(-largest), StoredType::kF16);
    EXPECT_EQ(scale_type(f16_as_f32(0x0001)), StoredType::kF16);
    EXPECT_EQ(scale_type(largest + 10), StoredType::kF32);
    EXPECT_EQ(scale_type(0, -65504), StoredType::kF32);
    EXPECT_EQ(scale_type(1, std::nanf("")), std::nullopt);
    EXPECT_EQ(scale_type(1, -1e9f), std::nullopt);
  }
}

TEST(PackBlocks, TellsTheTypeOfScales) {
  const auto scale_type = [](StoredType type, std::uint8_t byte) {
    const std::vector<std::byte> block(row_of(type).block_bytes, std::byte{byte});
    return packed_scale_type(type, block);
  };
  EXPECT_EQ(scale_type(StoredType::kQ4_1, 0xff), StoredType::kF16);
  EXPECT_EQ(scale_type(StoredType::kQ5_1, 0xff), StoredType::kF16);
  EXPECT_EQ(scale_type(StoredType::kQ4_K, 0xff), StoredType::kF32);
  EXPECT_EQ(scale_type(StoredType::kQ5_K, 0xff), StoredType::kF32);
  EXPECT_EQ(scale_type(StoredType::kMXFP4, 0xfe), StoredType::kF8E8M0);
  EXPECT_EQ(scale_type(StoredType::kMXFP4, 0xff), std::nullopt);
  EXPECT_EQ(scale_type(StoredType::kNVFP4, 0xfe), StoredType::kF8E4M3);
  EXPECT_EQ(scale_type(StoredType::kNVFP4, 0xff), std::nullopt);
}

TEST(PackBlocks, TellsTheForm) {
  const auto form = [](StoredType type) {
    const auto form = packed_form(type);
    return form ? std::string(form->mode) + " " + std::to_string(form->bits) + " " +
                      std::to_string(form->group_size) + (form->has_biases ? " biases" : "")
                : "none";
  };
  EXPECT_EQ(form(StoredType::kQ4_0), "affine 4 32 biases");
  EXPECT_EQ(form(StoredType::kQ5_K), "affine 5 32 biases");
  EXPECT_EQ(form(StoredType::kQ8_0), "affine 8 32 biases");
  EXPECT_EQ(form(StoredType::kMXFP4), "mxfp4 4 32");
  EXPECT_EQ(form(StoredType::kNVFP4), "nvfp4 4 16");
  for (const StoredType type : {StoredType::kQ2_K, StoredType::kQ3_K, StoredType::kQ6_K,
                                StoredType::kIQ4_NL, StoredType::kIQ4_XS, StoredType::kF16})
    EXPECT_EQ(form(type), "none");
}

TEST(PackBlocks, RefusesWhatDoesNotFit) {
  std::vector<std::byte> blocks(36), scales(4), biases(4);
  std::vector<std::uint32_t> words(8);
  const auto says = [&](StoredType type, StoredType scale_type, std::span<const std::byte> in,
                        std::size_t bias_bytes = 4) {
    return error_of<ArgumentError>([&] {
      pack_blocks(type, in, scale_type, words, scales, std::span(biases).first(bias_bytes));
    });
  };
  pack_blocks(StoredType::kQ4_0, blocks, StoredType::kF16, words, scales, biases);
  EXPECT_EQ(says(StoredType::kQ4_0, StoredType::kF16, std::span(blocks).first(35)),
            "35 bytes of Q4_0 are no whole blocks");
  const auto fits = [&](std::size_t word_count, std::size_t scale_bytes, std::size_t bias_bytes) {
    return error_of<ArgumentError>([&] {
      pack_blocks(StoredType::kQ4_0, blocks, StoredType::kF16, std::span(words).first(word_count),
                  std::span(scales).first(scale_bytes), std::span(biases).first(bias_bytes));
    });
  };
  EXPECT_EQ(fits(7, 4, 4),
            "36 bytes of Q4_0 can't be packed into 7 words with 4 bytes of scales and 4 of biases");
  EXPECT_EQ(fits(8, 2, 4),
            "36 bytes of Q4_0 can't be packed into 8 words with 2 bytes of scales and 4 of biases");
  EXPECT_EQ(fits(8, 4, 2),
            "36 bytes of Q4_0 can't be packed into 8 words with 4 bytes of scales and 2 of biases");
  EXPECT_THAT(says(StoredType::kQ4_0, StoredType::kF32, blocks), HasSubstr("can't be packed"));
  EXPECT_EQ(says(StoredType::kQ4_0, StoredType::kBF16, blocks), "Q4_0 has no scales of type bf16");
  EXPECT_EQ(says(StoredType::kNVFP4, StoredType::kF8E8M0, blocks, 0),
            "NVFP4 has no scales of type f8_e8m0");
  EXPECT_EQ(says(StoredType::kQ6_K, StoredType::kF32, {}),
            "MLX has no form for elements of type Q6_K");
  std::vector<std::byte> super_block(144), halves(16);
  std::vector<std::uint32_t> many(32);
  EXPECT_EQ(error_of<ArgumentError>([&] {
              pack_blocks(StoredType::kQ4_K, super_block, StoredType::kF16, many, halves, halves);
            }),
            "Q4_K has no scales of type f16");
}

}  // namespace
}  // namespace mlxnx::files
