// Zip archives made by hand, so that every field can lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlxnx::fuzz {

inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

inline std::uint32_t crc32_of(std::string_view text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

struct ZipEntry {
  std::string name;
  std::string packed;  ///< as it stands in the archive
  std::uint64_t size = packed.size();
  std::uint32_t crc = crc32_of(packed);
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  bool is_zip64 = false;
  std::uint64_t packed_size = packed.size();
  std::optional<std::uint32_t> place = {};  ///< of another entry that stands for this one
};

/// One that is deflated without being smaller: blocks that are stored.
inline ZipEntry deflated(std::string name, const std::string& content) {
  constexpr std::size_t kMostInBlock = 65535;
  std::string packed;
  std::size_t at = 0;
  do {
    const std::size_t count = std::min(kMostInBlock, content.size() - at);
    packed += at + count == content.size() ? '\1' : '\0';
    packed += little_endian(count, 2) + little_endian(~count, 2) + content.substr(at, count);
    at += count;
  } while (at < content.size());
  ZipEntry entry{std::move(name), std::move(packed)};
  entry.size = content.size();
  entry.crc = crc32_of(content);
  entry.method = 8;
  return entry;
}

/// The archive of `entries`; `count` is how many its end says there are.
inline std::string zip_of(std::span<const ZipEntry> entries,
                          std::optional<std::uint64_t> count = {}) {
  constexpr std::uint64_t kElsewhere = 0xffffffff;
  constexpr int kVersion = 45;
  const std::uint64_t said = count.value_or(entries.size());
  std::string locals, directory;
  for (const ZipEntry& entry : entries) {
    const std::string extra = entry.is_zip64 ? little_endian(1, 2) + little_endian(16, 2) +
                                                   little_endian(entry.size, 8) +
                                                   little_endian(entry.packed_size, 8)
                                             : "";
    const std::string fields = little_endian(kVersion, 2) + little_endian(entry.flags, 2) +
                               little_endian(entry.method, 2) + little_endian(0x00210000, 4) +
                               little_endian(entry.crc, 4) +
                               little_endian(entry.is_zip64 ? kElsewhere : entry.packed_size, 4) +
                               little_endian(entry.is_zip64 ? kElsewhere : entry.size, 4) +
                               little_endian(entry.name.size(), 2) + little_endian(extra.size(), 2);
    directory += "PK\1\2" + little_endian(kVersion, 2) + fields + std::string(10, '\0') +
                 little_endian(entry.place.value_or(static_cast<std::uint32_t>(locals.size())), 4) +
                 entry.name + extra;
    if (!entry.place) locals += "PK\3\4" + fields + entry.name + extra + entry.packed;
  }
  std::string end;
  if (said > 0xffff) {
    end = "PK\6\6" + little_endian(44, 8) + little_endian(kVersion, 2) +
          little_endian(kVersion, 2) + std::string(8, '\0') + little_endian(said, 8) +
          little_endian(said, 8) + little_endian(directory.size(), 8) +
          little_endian(locals.size(), 8) + "PK\6\7" + std::string(4, '\0') +
          little_endian(locals.size() + directory.size(), 8) + little_endian(1, 4);
  }
  const std::uint64_t short_count = std::min<std::uint64_t>(said, 0xffff);
  return locals + directory + end + "PK\5\6" + std::string(4, '\0') +
         little_endian(short_count, 2) + little_endian(short_count, 2) +
         little_endian(directory.size(), 4) + little_endian(locals.size(), 4) +
         std::string(2, '\0');
}

}  // namespace mlxnx::fuzz
