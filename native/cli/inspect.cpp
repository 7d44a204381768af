// mlxnx inspect: shows what a program file holds.
#include <memory>
#include <string>

#include "command.h"
#include "files.h"
#include "output.h"
#include "program/printer.h"

namespace mlxnx::cli {

Action add_inspect(CLI::App& app) {
  struct Options {
    std::string program;
    bool dot = false;
  };
  const auto options = std::make_shared<Options>();
  app.footer(
      "Example: mlxnx inspect --dot program.mlxnx | dot -Tsvg > program.svg\n"
      "Such files are written by Mlx.Compiler.export in Elixir and Program::save in C++.");
  app.add_option("PROGRAM", options->program, "Program file (.mlxnx)")
      ->type_name("FILE")
      ->required();
  app.add_flag("--dot", options->dot,
               "As a Graphviz graph in place of one line for each instruction");
  return [options] {
    const program::Program program = load_program(options->program, "inspect");
    print(options->dot ? to_dot(program) : to_text(program));
    return 0;
  };
}

}  // namespace mlxnx::cli
