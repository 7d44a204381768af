// mlxnx run: runs a program file on arrays of numpy's.
#include <fmt/format.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.h"
#include "files.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "output.h"
#include "program/executable.h"
#include "tensor/printable.h"
#include "values.h"

namespace mlxnx::cli {
namespace {

struct RunArguments {
  std::string program;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

// The file of each value, as `name=file` texts tell; empty where they don't.
std::vector<std::string> files_of(const std::vector<std::string>& names,
                                  const std::vector<std::string>& texts, const char* what) {
  std::vector<std::string> files(names.size());
  for (const std::string& text : texts) {
    const std::size_t at = text.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == text.size())
      throw ArgumentError(fmt::format("[run] {} is not of the form name=file.npy", text));
    std::string& file = files[find_value(text.substr(0, at), names, what, "run")];
    if (!file.empty())
      throw ArgumentError(fmt::format("[run] {} {} is given twice", what, text.substr(0, at)));
    file = text.substr(at + 1);
  }
  return files;
}

std::vector<Tensor> read_inputs(const program::Program& program, const RunArguments& options) {
  const std::vector<std::string> names = input_names(program);
  const std::vector<std::string> files = files_of(names, options.inputs, "input");
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string wanted =
        fmt::format("input {} ({}), {}", i, names[i], to_string(program.main.inputs[i].type));
    if (files[i].empty()) {
      throw ArgumentError(
          fmt::format("[run] {}, is missing: --input {}=file.npy", wanted, names[i]));
    }
    Tensor tensor = load_npy(files[i]);
    if (tensor.type() != program.main.inputs[i].type) {
      throw ShapeError(fmt::format("[run] {}, can't be the {} in {}", wanted,
                                   to_string(tensor.type()), files[i]));
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

void print_tensor(std::string_view name, const Tensor& tensor) {
  print(fmt::format("{}: {}\n", tensors::printable(name), tensor.to_string()));
}

// Shows what hooks tell.
class PrintingHost : public program::CallbackHost {
 public:
  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    try {
      answer(request);
      reply->answer({});
    } catch (...) {
      reply->fail(std::current_exception());
    }
  }

 private:
  static void answer(const program::CallbackRequest& request) {
    if (request.kind == program::InstructionKind::kRuntimeCall) {
      throw UnsupportedError(fmt::format(
          "[run] the program calls \"{}\", which only the program that wrote it can answer",
          request.callback));
    }
    for (const Tensor& value : request.values) print_tensor(request.callback, value);
    flush_output();  // a loop that tells may run for long
  }
};

int run(const RunArguments& options) {
  program::Program program = load_program(options.program, "run");
  const std::vector<std::string> names = output_names(program);
  const std::vector<std::string> files = files_of(names, options.outputs, "output");
  const std::vector<Tensor> inputs = read_inputs(program, options);
  const program::Executable executable(std::move(program), {.fusion = program::Fusion::kNever});
  PrintingHost host;
  const std::vector<Tensor> outputs = executable.run(inputs, {.host = &host});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!files[i].empty()) {
      save_npy(files[i], outputs[i]);
    } else if (options.outputs.empty()) {
      print_tensor(names[i], outputs[i]);
    }
  }
  return 0;
}

}  // namespace

Action add_run(CLI::App& app) {
  const auto options = std::make_shared<RunArguments>();
  app.footer(
      "Example: mlxnx run affine.mlxnx --input x=x.npy --input y=y.npy --output 0=result.npy\n"
      "`mlxnx inspect` shows the names and types of a program's inputs. What hooks tell is "
      "printed; "
      "a program that calls functions of Elixir or C++ can't be run here.");
  app.add_option("PROGRAM", options->program, "Program file (.mlxnx)")
      ->type_name("FILE")
      ->required();
  app.add_option("--input", options->inputs, "An input, by its name or number; one for each")
      ->type_name("NAME=FILE.npy")
      ->take_all();
  app.add_option("--output", options->outputs,
                 "Where an output goes, by its name or number (may be repeated); without any all "
                 "are printed")
      ->type_name("NAME=FILE.npy")
      ->take_all();
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
