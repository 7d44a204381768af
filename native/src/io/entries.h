// The tensors of a checkpoint by their names, each with what it takes to read it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/open_file.h"
#include "mlxnx/config.h"
#include "mlxnx/tensor.h"

namespace mlxnx::io {

struct Entry {
  TensorType type;     ///< of what `read` answers
  std::string stored;  ///< how the file holds it
  std::uint64_t bytes = 0;
  std::function<Tensor()> read;
  /// Where it lies, of what is as it stands in a file; null for what is made of others.
  std::shared_ptr<const OpenFile> file = nullptr;
  const files::StoredTensor* place = nullptr;
};

using Entries = std::map<std::string, Entry, std::less<>>;

/// Tensors that are made together, when the first of them is asked for, and kept until each was
/// asked for. Any thread.
class PartsOnce {
 public:
  explicit PartsOnce(std::function<std::vector<Tensor>()> make) : make_(std::move(make)) {}
  Tensor read(std::size_t part);

 private:
  std::function<std::vector<Tensor>()> make_;
  std::mutex mutex_;
  std::vector<std::optional<Tensor>> parts_;
};

/// A tensor of a file as it stands there.
Entry entry_of(const std::shared_ptr<const OpenFile>& file, const files::StoredTensor& tensor);
/// Its bytes as if they were of `type`; the last axis is as long as they make it.
Entry entry_as(const Entry& entry, DType type);

/// Puts mlx's forms in place of those that the quantizers of other libraries write, by what
/// `quantization_config` in `config` says, and notes under `quantization` what has become of them.
/// Throws: UnsupportedError for a method that is not known, FormatError where tensors are missing
/// or don't fit each other.
void repack(Entries& entries, Config& config);

}  // namespace mlxnx::io
