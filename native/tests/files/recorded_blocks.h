// Blocks and floats that tools/record_ggml_blocks.py recorded.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "files/stored.h"

namespace mlxnx::files::testing_support {

struct RecordedBlocks {
  StoredType type;
  std::vector<std::byte> blocks;
  std::vector<float> floats;
};

inline std::vector<RecordedBlocks> recorded_blocks(const std::string& file) {
  std::ifstream in(std::string(MLXNX_GGML_BLOCKS) + "/" + file, std::ios::binary);
  if (!in) throw std::runtime_error(file + " is not there");
  std::vector<RecordedBlocks> all;
  char name[9] = {};
  while (in.read(name, 8)) {
    const auto row = std::ranges::find(kStoredTypes, std::string_view(name), &StoredTypeRow::name);
    if (row == kStoredTypes.end()) throw std::runtime_error(std::string("no type ") + name);
    std::uint64_t count = 0;
    in.read(reinterpret_cast<char*>(&count), sizeof count);
    RecordedBlocks blocks{row->type, std::vector<std::byte>(count * row->block_bytes),
                          std::vector<float>(count * row->per_block)};
    in.read(reinterpret_cast<char*>(blocks.blocks.data()),
            static_cast<std::streamsize>(blocks.blocks.size()));
    in.read(reinterpret_cast<char*>(blocks.floats.data()),
            static_cast<std::streamsize>(blocks.floats.size() * sizeof(float)));
    all.push_back(std::move(blocks));
  }
  return all;
}

/// Equal in every bit, or both NaN.
inline bool is_same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

}  // namespace mlxnx::files::testing_support
