// Program: a function of tensors as one compiled graph, which can be saved, loaded, shown and run.
// Made by tracing a C++ function, or read from a file that Mlx.Compiler or this class wrote.
// Copying is cheap; programs may be run on any thread. Read next: jit.h, which traces by itself.
//
//     const Program program = Program::trace(
//         {{"x", {DType::f32, {2}}}},
//         [](const std::vector<Tensor>& in) { return std::vector{sum(in[0] * in[0])}; });
//     program.run({tensor({3.0, 4.0})})[0];  // 25.0
//     program.save("squares.mlxnx");
//     Program::load("squares.mlxnx").run({tensor({1.0, 2.0})})[0];  // 5.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx {

namespace program {
class Executable;
}

class Program {
 public:
  // Moving copies, so that no program is without a value.
  Program(const Program&) = default;
  Program& operator=(const Program&) = default;

  /// An input or an output: a name, which may be empty, type and shape.
  struct Port {
    std::string name;
    TensorType type;
  };
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

  /// The program that `function` computes for inputs of these types. It is called once, with
  /// tensors that have no elements; tensors that it takes from elsewhere become constants. Throws:
  /// what the function throws; ArgumentError when it reads a traced tensor.
  static Program trace(const std::vector<Port>& inputs, const Function& function);

  /// The program in a file (docs/program_format.md).
  /// Throws: FormatError for anything but a well-formed program; ArgumentError when it can't be
  /// read.
  static Program load(const std::filesystem::path& path);

  /// Throws: ArgumentError when the file can't be written.
  void save(const std::filesystem::path& path) const;

  /// Answers a hook or a runtime call of the program, by the name it was built with.
  using Callback =
      std::function<std::vector<Tensor>(std::string_view name, const std::vector<Tensor>& values)>;

  /// The outputs for `inputs`; lazy as far as control flow allows. `callback` is called for hooks,
  /// whose answer is ignored, and for runtime calls; without it hooks do nothing.
  /// Throws: ArgumentError for the number of inputs, ShapeError for one of another type or shape.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const Callback& callback = {}) const;

  std::vector<Port> inputs() const;
  std::vector<Port> outputs() const;

  /// One instruction a line.
  std::string to_string() const;
  /// As a Graphviz graph.
  std::string to_dot() const;

  /// For the layers of this library.
  explicit Program(std::shared_ptr<const program::Executable> executable)
      : executable_(std::move(executable)) {}

 private:
  std::shared_ptr<const program::Executable> executable_;
};

}  // namespace mlxnx
