// mlxnx inspect: shows what a file of tensors, a model or a program holds.
#include <filesystem>
#include <memory>
#include <string>

#include "command.h"
#include "files.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "model_listing.h"
#include "output.h"
#include "program/printer.h"

namespace mlxnx::cli {
namespace {

struct InspectArguments {
  std::string path;
  bool dot = false;
  bool json = false;
};

bool is_program(const InspectArguments& options) {
  if (options.dot || options.path.ends_with(".mlxnx")) return true;
  const TensorFile file(options.path);
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second == "mlxnx.program";
}

int inspect(const InspectArguments& options) {
  if (!std::filesystem::is_directory(options.path)) {
    open_regular(options.path, "inspect");
    if (is_program(options)) {
      if (options.json) throw ArgumentError("[inspect] programs are not shown as JSON");
      const program::Program program = load_program(options.path, "inspect");
      print(options.dot ? to_dot(program) : to_text(program));
      return 0;
    }
  }
  const Checkpoint checkpoint(options.path);
  print(options.json ? to_json(checkpoint) : to_table(checkpoint));
  return 0;
}

}  // namespace

Action add_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectArguments>();
  app.footer(
      "Examples: mlxnx inspect model.gguf\n"
      "          mlxnx inspect --json SmolLM2-135M-Instruct\n"
      "          mlxnx inspect --dot program.mlxnx | dot -Tsvg > program.svg\n"
      "Programs are written by Mlx.Compiler.export in Elixir and Program::save in C++.");
  app.add_option("PATH", options->path,
                 "A model folder, a file of tensors (.safetensors, .gguf) or a program (.mlxnx)")
      ->type_name("FILE")
      ->required();
  const auto* json = app.add_flag("--json", options->json, "Tensors as JSON in place of a table");
  app.add_flag("--dot", options->dot,
               "A program as a Graphviz graph in place of one line for each instruction")
      ->excludes(const_cast<CLI::Option*>(json));
  return [options] { return inspect(*options); };
}

}  // namespace mlxnx::cli
