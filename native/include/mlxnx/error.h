// The exceptions that mlxnx throws. Every message reads `[op] what was wrong, with the actual
// values`. The Elixir package turns each class into the exception named beside it.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace mlxnx {

/// An argument's value is not one the function takes. Elixir: ArgumentError.
class ArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// The system does not let a file be read or written; the text says so. Elixir: File.Error.
class FileError : public ArgumentError {
 public:
  /// `action` as in "read file"; `code` is errno's.
  FileError(const std::string& text, std::string action, std::string path, int code)
      : ArgumentError(text), action_(std::move(action)), path_(std::move(path)), code_(code) {}
  const std::string& action() const noexcept { return action_; }
  const std::string& path() const noexcept { return path_; }
  int code() const noexcept { return code_; }

 private:
  std::string action_, path_;
  int code_;
};

/// Shapes, ranks, axes or sizes do not fit together. Elixir: ArgumentError.
class ShapeError : public ArgumentError {
 public:
  using ArgumentError::ArgumentError;
};

/// An element type is not one the function takes. Elixir: ArgumentError.
class TypeError : public ArgumentError {
 public:
  using ArgumentError::ArgumentError;
};

/// An element of an operand is not one the op takes: an index out of bounds, a negative shift, a
/// zero on a diagonal. After the op's name the text is Nx's. Elixir: ArgumentError with Nx's text.
class ValueError : public ArgumentError {
 public:
  ValueError(const std::string& op, const std::string& text)
      : ArgumentError("[" + op + "] " + text), prefix_length_(op.size() + 3) {}
  const char* without_op() const noexcept { return what() + prefix_length_; }

 private:
  std::size_t prefix_length_;
};

/// A number that the op has no answer for: a known divisor of zero. Elixir: ArithmeticError.
class ArithmeticError : public ValueError {
 public:
  using ValueError::ValueError;
};

/// A correct request that this device or version can't serve. Elixir: Mlx.UnsupportedError.
class UnsupportedError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file or a serialized program is not what its format demands. Elixir: Mlx.FormatError.
class FormatError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A long task was asked to end by its progress function. Elixir: Mlx.Error.
class InterruptedError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A hub can't be reached, or does not give what was asked for. Elixir: Mlx.HubError.
class HubError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// MLX refused: out of memory, device failure, a stopped engine. Elixir: Mlx.Error.
class BackendError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace mlxnx
