// Files of tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/quantize.h"
#include "mlxnx/tensor.h"

namespace mlxnx {

/// What a file says of one of its tensors.
struct TensorInfo {
  std::string name;
  std::string type;          ///< as it is stored: "f32", "bf16", "bool", "f8_e4m3", "Q4_K"
  DType dtype = DType::f32;  ///< of what reading answers
  Shape shape = {};
  std::uint64_t bytes = 0;  ///< that it takes in the file
};

/// A file of tensors that is open: .safetensors or .gguf, whichever its first bytes say. Opening
/// reads the names, types and shapes only. Tensors whose elements lie in the file as they do in
/// memory are read when something asks for their elements, and use the file's pages where the
/// device can: nothing is copied. The file may be replaced meanwhile, but not shortened. Copies
/// share the open file; any thread.
///
///     TensorFile file("model.safetensors");
///     Tensor weight = file.read("layers.0.weight");
class TensorFile {
 public:
  /// Throws: FormatError for a file that is none, ArgumentError where it can't be read; each names
  /// the file.
  explicit TensorFile(const std::filesystem::path& path);

  /// "safetensors" or "gguf".
  std::string_view format() const;
  /// In the order in which they lie in the file.
  const std::vector<TensorInfo>& tensors() const;
  /// Null where the file has no tensor of that name.
  const TensorInfo* find(std::string_view name) const;
  /// What else the file says, by its keys: the texts of a .safetensors header, and of a .gguf file
  /// its texts, numbers and truth values as text.
  const std::map<std::string, std::string>& metadata() const;

  /// The tensor of that name: bool is u8, floats of 8 bits are bf16, which holds them all, and
  /// blocks of .gguf files f32. Throws: ArgumentError with the nearest name where there is none,
  /// UnsupportedError for dimensions that MLX can't count.
  Tensor read(std::string_view name) const;
  /// The tensors whose names are meant, all by default.
  std::map<std::string, Tensor> read(
      const std::function<bool(std::string_view name)>& which = {}) const;
  /// The blocks of a .gguf file's matrix in MLX's form of the same numbers, as Checkpoint has it;
  /// nothing where there is no such form. Throws: as `read`; UnsupportedError for blocks whose
  /// scales that form can't hold.
  std::optional<Quantized> read_quantized(std::string_view name) const;

  struct Contents;
  const Contents& contents() const { return *contents_; }  ///< for the layers of this library

 private:
  std::shared_ptr<const Contents> contents_;
};

/// The tensors of a .safetensors file by their names, as TensorFile reads them. Throws: FormatError
/// for anything but such a file, UnsupportedError for element types that MLX lacks, ArgumentError
/// when it can't be read; each names the file. mlx: mx.load
///
///     auto tensors = load_safetensors("model.safetensors");
std::map<std::string, Tensor> load_safetensors(const std::filesystem::path& path);

/// Writes a .safetensors file; `metadata` are texts for its header. The file is there whole or not
/// at all: another one of that name stays until the new one is written. Evaluates. Throws:
/// ArgumentError for names that are not UTF-8, and when the file can't be written; then it names
/// the file. mlx: mx.save_safetensors
///
///     save_safetensors("model.safetensors", {{"weight", w}, {"bias", b}});
void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// The array in a .npy file of any version, in either byte order, row-major or column-major; bool
/// becomes u8. Large elements that lie as in memory are read when something asks for them. Reads
/// pipes too, and of them no more than the header announces. Throws: FormatError for a malformed
/// file and for one of Python objects, UnsupportedError for element types that MLX lacks,
/// ArgumentError when it can't be read; each names the file. numpy: numpy.load
///
///     Tensor x = load_npy("x.npy");
Tensor load_npy(const std::filesystem::path& path);

/// Writes the bytes that numpy.save writes, whole or not at all. Evaluates. Throws:
/// UnsupportedError for bf16, which numpy lacks, and for more than 64 dimensions, ArgumentError
/// when the file can't be written; each names the file. numpy: numpy.save
///
///     save_npy("x.npy", x);
void save_npy(const std::filesystem::path& path, const Tensor& tensor);

/// The arrays of a .npz file by their names, without ".npy"; stored or deflated. Names may be those
/// of paths, and are never used as such. Throws: FormatError for anything but such a file,
/// UnsupportedError for what MLX lacks, for members that are encrypted or compressed otherwise, and
/// where the library was built without libzip, ArgumentError when it can't be read; each names the
/// file. numpy: numpy.load
///
///     auto tensors = load_npz("arrays.npz");
std::map<std::string, Tensor> load_npz(const std::filesystem::path& path);

struct NpzOptions {
  bool compressed = false;  ///< deflated, as numpy.savez_compressed does
};

/// Writes a .npz file, whole or not at all; equal tensors make equal bytes. Evaluates, one tensor
/// after the other. Throws: UnsupportedError for tensors that `save_npy` refuses, and where the
/// library was built without libzip, ArgumentError for names that are not UTF-8 or hold a NUL, and
/// when the file can't be written. numpy: numpy.savez, numpy.savez_compressed
///
///     save_npz("arrays.npz", {{"x", x}, {"y", y}}, {.compressed = true});
void save_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
              const NpzOptions& options = {});

}  // namespace mlxnx
