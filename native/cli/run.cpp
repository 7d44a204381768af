// mlxnx run: runs a program file on arrays of numpy's.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "mlxnx/error.h"
#include "npy.h"
#include "program/executable.h"
#include "program/serializer.h"

namespace mlxnx::cli {
namespace {

struct Options {
  std::string program;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

// `name=file` texts by name.
std::map<std::string, std::string> files_by_name(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> files;
  for (const std::string& text : texts) {
    const std::size_t at = text.find('=');
    if (at == std::string::npos || at == 0)
      throw ArgumentError(fmt::format("[run] {} is not of the form name=file.npy", text));
    if (!files.emplace(text.substr(0, at), text.substr(at + 1)).second)
      throw ArgumentError(fmt::format("[run] {} is given twice", text.substr(0, at)));
  }
  return files;
}

// The file for the i-th of some values: by its name, or by its number.
std::string take(std::map<std::string, std::string>& files, const std::string& name,
                 std::size_t i) {
  for (const std::string& key : {name, std::to_string(i)}) {
    if (const auto found = files.find(key); found != files.end())
      return files.extract(found).mapped();
  }
  return {};
}

void refuse_others(const std::map<std::string, std::string>& files, const char* what) {
  if (!files.empty())
    throw ArgumentError(fmt::format("[run] the program has no {} {}", what, files.begin()->first));
}

std::vector<Tensor> read_inputs(const program::Program& program, const Options& options) {
  auto files = files_by_name(options.inputs);
  std::vector<Tensor> inputs;
  for (const program::Input& input : program.main.inputs) {
    const std::size_t i = inputs.size();
    const std::string file = take(files, input.name, i);
    if (file.empty()) {
      throw ArgumentError(fmt::format("[run] input {} ({}), {}, is missing: --input {}=file.npy", i,
                                      input.name, to_string(input.type),
                                      input.name.empty() ? std::to_string(i) : input.name));
    }
    inputs.push_back(read_npy(file));
  }
  refuse_others(files, "input");
  return inputs;
}

// Shows what hooks tell.
class PrintingHost : public program::CallbackHost {
 public:
  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    if (request.kind == program::InstructionKind::kRuntimeCall) {
      reply->fail(std::make_exception_ptr(UnsupportedError(fmt::format(
          "[run] the program calls \"{}\", which only the program that wrote it can answer",
          request.callback))));
      return;
    }
    for (const Tensor& value : request.values)
      std::cout << request.callback << ": " << value << '\n';
    reply->answer({});
  }
};

int run(const Options& options) {
  program::Program program = program::load(options.program);
  const std::vector<Tensor> inputs = read_inputs(program, options);
  auto files = files_by_name(options.outputs);
  const program::Executable executable(std::move(program), {.fusion = program::Fusion::kNever});
  PrintingHost host;
  const std::vector<Tensor> outputs = executable.run(inputs, {.host = &host});
  const std::vector<std::string>& names = executable.program().output_names;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = names.empty() ? std::to_string(i) : names[i];
    const std::string file = take(files, name, i);
    if (!file.empty()) {
      write_npy(file, outputs[i]);
    } else if (options.outputs.empty()) {
      std::cout << name << ": " << outputs[i] << '\n';
    }
  }
  refuse_others(files, "output");
  return 0;
}

}  // namespace

Action add_run(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("PROGRAM", options->program, "Program file (.mlxnx)")->required();
  app.add_option("--input", options->inputs, "An input, by its name or number")
      ->type_name("NAME=FILE.npy")
      ->take_all();
  app.add_option("--output", options->outputs,
                 "Where an output goes, by its name or number; without any all are printed")
      ->type_name("NAME=FILE.npy")
      ->take_all();
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
