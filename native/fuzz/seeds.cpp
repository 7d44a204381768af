#include "seeds.h"

#include <unistd.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "files/atomic_file.h"
#include "files/npy.h"
#include "files/npz.h"
#include "files/safetensors.h"
#include "zip_bytes.h"

namespace mlxnx::fuzz {
namespace {

using Seeds = std::vector<std::string>;

std::string some_bytes(std::uint64_t count) {
  std::string bytes;
  for (std::uint64_t i = 0; i < count; ++i) bytes += static_cast<char>(37 * i);
  return bytes;
}

Seeds safetensors_seeds() {
  Seeds seeds;
  const auto add = [&](const std::vector<files::StoredTensor>& tensors,
                       const files::Metadata& metadata) {
    std::uint64_t size = 0;
    for (const files::StoredTensor& tensor : tensors) size += tensor.bytes;
    seeds.push_back(files::safetensors_header(tensors, metadata) + some_bytes(size));
  };
  const auto tensor = [](std::string name, files::StoredType type, Shape shape) {
    return files::StoredTensor{.name = std::move(name),
                               .type = type,
                               .shape = shape,
                               .bytes = files::stored_bytes(type, shape)};
  };
  using files::StoredType;
  add({}, {});
  add({}, {{"format", "mlx"}, {"\xc3\xbc", "\n\"\\"}});
  add({tensor("w", StoredType::kF32, {2, 3})}, {});
  add({tensor("a.0", StoredType::kBF16, {}), tensor("a.1", StoredType::kU8, {0, 7}),
       tensor("b", StoredType::kF8E4M3, {5})},
      {{"format", "pt"}});
  std::vector<files::StoredTensor> all;
  for (const files::StoredTypeRow& row : files::kStoredTypes)
    if (row.per_block == 1) all.push_back(tensor(std::string(row.name), row.type, {1, 2}));
  add(all, {});
  const std::string odd =
      R"({ "a" : {"note":1.5e3,"data_offsets":[0,1],"shape":[1],"dtype":"F8_E4M3FN"} })";
  seeds.push_back(little_endian(odd.size(), 8) + odd + "x");
  return seeds;
}

std::string npy_of(int version, const std::string& dictionary, const std::string& elements) {
  return "\x93NUMPY" + little_endian(static_cast<std::uint64_t>(version), 2) +
         little_endian(dictionary.size(), version == 1 ? 2 : 4) + dictionary + elements;
}

Seeds npy_seeds() {
  Seeds seeds;
  for (const DType type : {DType::u8, DType::s16, DType::f16, DType::f32, DType::c64}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0}, Shape{1, 2, 3}}) {
      const auto count = static_cast<std::uint64_t>(element_count(shape));
      seeds.push_back(files::npy_header({type, shape}) + some_bytes(count * size_bytes(type)));
    }
  }
  seeds.push_back(
      npy_of(1, "{'descr': '>c8', 'fortran_order': True, 'shape': (2, 1), }\n", some_bytes(16)));
  seeds.push_back(
      npy_of(2, "{'descr': '|b1', 'fortran_order': False, 'shape': (3L,), }", some_bytes(3)));
  seeds.push_back(npy_of(3, R"({"shape":(),"descr":"=f8","fortran_order":False})", some_bytes(8)));
  seeds.push_back(npy_of(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                         some_bytes(4)));
  return seeds;
}

std::string deflated_archive() {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("mlxnx_seed_" + std::to_string(::getpid()) + ".npz");
  files::AtomicFile file(path, "seeds");
  const std::vector<files::NpzArray> arrays = {{"zeros", {DType::f32, {100}}},
                                               {"some", {DType::u8, {200}}}};
  const std::string elements[] = {std::string(400, '\0'), some_bytes(200)};
  files::write_npz(file, arrays, true,
                   [&](std::size_t i) { return std::as_bytes(std::span(elements[i])); });
  file.commit();
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

Seeds npz_seeds() {
  const std::string array = npy_seeds()[1];
  ZipEntry large{"large.npy", array};
  large.is_zip64 = true;
  const std::vector<ZipEntry> entries = {{"a.npy", array}, deflated("b/c.npy", array), large};
  ZipEntry encrypted = entries[0];
  encrypted.flags = 1;
  return {zip_of(entries),
          zip_of(std::vector{entries[0]}),
          zip_of(std::vector{entries[1]}),
          zip_of(std::vector{large}),
          zip_of(std::vector{encrypted}),
          zip_of(std::vector<ZipEntry>{{"x.txt", "x"}}),
          zip_of(std::vector{entries[0]}, 0x10000),
          zip_of(std::vector<ZipEntry>{}),
          deflated_archive()};
}

Seeds json_seeds() {
  return {R"({"model_type":"llama","hidden_size":64,"rope_scaling":null,"shape":[1,2,3]})",
          R"({"quantization":{"group_size":64,"bits":4,"model.layers.0":{"bits":8}},"tie":true})",
          R"([0,-1,18446744073709551615,-9223372036854775808,1.5,1e300,"\u00fc\ud83d\ude00\\n"])",
          R"([[[[[[[[]]]]]]],{"a":{"b":{"c":{}}}}])",
          "null",
          "  7 ",
          R"({"a":1,"a":2})"};
}

// A GGUF file with a value of each kind and some tensors.
std::string gguf_of(std::uint32_t version, std::uint64_t alignment) {
  const auto text = [](const std::string& value) { return little_endian(value.size(), 8) + value; };
  const auto key = [&](const std::string& name, std::uint32_t type, const std::string& value) {
    return text(name) + little_endian(type, 4) + value;
  };
  constexpr std::uint32_t kText = 8, kList = 9, kU32 = 4;
  std::string keys = key("general.architecture", kText, text("llama")) +
                     key("general.alignment", kU32, little_endian(alignment, 4));
  std::uint64_t count = 2;
  const std::map<std::uint32_t, int> widths = {{0, 1}, {1, 1}, {2, 2},  {3, 2},  {4, 4}, {5, 4},
                                               {6, 4}, {7, 1}, {10, 8}, {11, 8}, {12, 8}};
  for (const auto& [type, width] : widths) {
    keys += key("k" + std::to_string(type), type, little_endian(1, width));
    keys += key("l" + std::to_string(type), kList,
                little_endian(type, 4) + little_endian(2, 8) + little_endian(0, width) +
                    little_endian(1, width));
    count += 2;
  }
  keys +=
      key("tokens", kList, little_endian(kText, 4) + little_endian(2, 8) + text("a") + text("bc"));
  keys += key("lists", kList,
              little_endian(kList, 4) + little_endian(1, 8) + little_endian(kU32, 4) +
                  little_endian(1, 8) + little_endian(5, 4));
  count += 2;
  // Type number and bytes of 256 elements.
  const std::vector<std::pair<std::uint32_t, std::uint64_t>> types = {
      {0, 1024}, {1, 512},  {2, 144},   {3, 160},   {6, 176},   {7, 192},  {8, 272},
      {10, 84},  {11, 110}, {12, 144},  {13, 176},  {14, 210},  {20, 144}, {23, 136},
      {24, 256}, {25, 512}, {26, 1024}, {27, 2048}, {28, 2048}, {30, 512}, {39, 136}};
  std::string infos, data;
  for (const auto& [type, bytes] : types) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    infos += text("t" + std::to_string(type)) + little_endian(2, 4) + little_endian(256, 8) +
             little_endian(1, 8) + little_endian(type, 4) + little_endian(data.size(), 8);
    data += some_bytes(bytes);
  }
  std::string file = "GGUF" + little_endian(version, 4) + little_endian(types.size(), 8) +
                     little_endian(count, 8) + keys + infos;
  file.resize((file.size() + alignment - 1) / alignment * alignment);
  return file + data;
}

Seeds gguf_seeds() {
  const std::string empty(16, '\0');
  const std::string one = "GGUF" + little_endian(3, 4) + little_endian(1, 8) + little_endian(1, 8) +
                          little_endian(1, 8) + "k" + little_endian(8, 4) + little_endian(2, 8) +
                          "no" + little_endian(1, 8) + "t" + little_endian(1, 4) +
                          little_endian(32, 8) + little_endian(2, 4) + std::string(8, '\0') +
                          std::string(7, '\0') + some_bytes(18);
  return {"GGUF" + little_endian(3, 4) + empty, "GGUF" + little_endian(2, 4) + empty,
          gguf_of(3, 32), gguf_of(2, 64)};
}

}  // namespace

std::vector<std::string> seeds_of(std::string_view name) {
  if (name == "safetensors") return safetensors_seeds();
  if (name == "npy") return npy_seeds();
  if (name == "npz") return npz_seeds();
  if (name == "json") return json_seeds();
  if (name == "gguf") return gguf_seeds();
  return {};
}

}  // namespace mlxnx::fuzz
