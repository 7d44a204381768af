// Everything that stands in front of the elements is read, and written again; of each tensor the
// first block is decoded and packed.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "files/blocks.h"
#include "files/gguf.h"
#include "files/gguf_writer.h"
#include "files/pack_blocks.h"
#include "mlxnx/error.h"

namespace mlxnx::fuzz {
namespace {

using namespace files;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

// A value as each of the types that it may have; that it has another one is an answer.
void read(const GgufValue& value) {
  const auto reading = [](auto read) {
    try {
      read();
    } catch (const FormatError&) {
    }
  };
  require(value.shown().size() < 1000);
  reading([&] { (void)value.as_text(); });
  reading([&] { (void)value.as_boolean(); });
  reading([&] { (void)value.as_integer(); });
  reading([&] { (void)value.as_number(); });
  reading([&] { require(value.as_texts().size() == value.size()); });
  reading([&] { require(value.as_booleans().size() == value.size()); });
  reading([&] { require(value.as_integers().size() == value.size()); });
  reading([&] { require(value.as_numbers().size() == value.size()); });
  reading([&] {
    for (const GgufValue& list : value.as_lists()) require(!list.encoded().empty());
  });
}

void read(const StoredTensor& tensor, std::span<const std::byte> file) {
  const StoredTypeRow& row = row_of(tensor.type);
  require(tensor.bytes == stored_bytes(tensor.type, tensor.shape));
  require(tensor.offset <= file.size() && tensor.bytes <= file.size() - tensor.offset);
  if (!is_block_type(tensor.type)) return;
  const auto block = file.subspan(tensor.offset, row.block_bytes);
  std::vector<float> floats(row.per_block);
  decode_blocks(tensor.type, block, floats);
  const auto form = packed_form(tensor.type);
  if (!form) return;
  const auto scale_type = packed_scale_type(tensor.type, block);
  if (!scale_type) return;
  std::vector<std::uint32_t> words(row.per_block / 32 * form->bits);
  std::vector<std::byte> scales(row.per_block / form->group_size * row_of(*scale_type).block_bytes);
  std::vector<std::byte> biases(form->has_biases ? scales.size() : 0);
  pack_blocks(tensor.type, block, *scale_type, words, scales, biases);
}

// What was read can be written, and means the same when it is read again.
void write(const GgufFile& gguf) {
  std::vector<GgufEntry> metadata;
  for (std::size_t i = 0; i < gguf.size(); ++i)
    metadata.push_back({std::string(gguf.value(i).key()), gguf.value(i)});
  const std::string with_tensors = gguf_header(metadata, gguf.tensors);
  const std::string header = gguf_header(metadata, {});
  require(with_tensors.size() >= header.size());
  const GgufFile again = parse_gguf(std::as_bytes(std::span(header)));
  require(again.size() == gguf.size() && again.alignment == gguf.alignment);
  for (std::size_t i = 0; i < gguf.size(); ++i) {
    require(again.value(i).key() == gguf.value(i).key());
    require(again.value(i).shown() == gguf.value(i).shown());
  }
}

void read(std::span<const std::byte> file) {
  const GgufFile gguf = parse_gguf(file);
  for (std::size_t i = 0; i < gguf.size(); ++i) {
    const GgufValue value = gguf.value(i);
    read(value);
    require(gguf.at(value.key()).encoded().data() == value.encoded().data());
  }
  for (const StoredTensor& tensor : gguf.tensors) read(tensor, file);
  write(gguf);
}

}  // namespace
}  // namespace mlxnx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    mlxnx::fuzz::read(std::as_bytes(std::span(data, size)));
  } catch (const mlxnx::FormatError&) {
  } catch (const mlxnx::UnsupportedError&) {
  }
  return 0;
}
