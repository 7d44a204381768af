// mlxnx convert: writes a model in another form.
#include "mlxnx/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "command.h"
#include "interrupt.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/error.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

struct ConvertArguments {
  std::string model;
  std::string output = "mlx_model";
  bool quantize = false, dequantize = false, is_quiet = false;
  std::optional<std::int64_t> group_size, bits;
  std::optional<std::string> mode, gguf_type;
  std::string recipe, dtype;
};

const std::map<std::string, DType> kTypes = {
    {"float16", DType::f16}, {"bfloat16", DType::bf16}, {"float32", DType::f32}};

ConvertOptions as_asked(const ConvertArguments& options) {
  ConvertOptions asked;
  asked.dequantize = options.dequantize;
  if (!options.dtype.empty()) asked.dtype = kTypes.at(options.dtype);
  if (options.quantize) {
    asked.quantize = Quantization{.mode = quantization_mode(options.mode.value_or("affine")),
                                  .bits = options.bits,
                                  .group_size = options.group_size};
  } else if (options.bits || options.group_size || options.mode || !options.recipe.empty()) {
    throw ArgumentError(
        "[convert] --q-bits, --q-group-size, --q-mode and --quant-predicate say how to "
        "quantize: add -q");
  }
  if (!options.recipe.empty()) asked.recipe = options.recipe;
  return asked;
}

bool is_gguf(const ConvertArguments& options) {
  return CLI::detail::to_lower(options.output).ends_with(".gguf");
}

// A GGUF file is asked for by other options than a folder.
void require_fitting(const ConvertArguments& options, const ConvertOptions& asked) {
  if (!is_gguf(options)) {
    if (options.gguf_type) {
      throw ArgumentError(fmt::format(
          "[convert] --gguf-type is for .gguf files, and the output is {}", options.output));
    }
    if (options.output.ends_with(".safetensors")) {
      throw ArgumentError(
          fmt::format("[convert] the output is a folder, with model.safetensors in it, or a .gguf "
                      "file, not {}",
                      options.output));
    }
    return;
  }
  if (asked.quantize || asked.dequantize || asked.dtype) {
    throw ArgumentError(
        "[convert] a .gguf file takes --gguf-type in place of -q, --dequantize and --dtype");
  }
}

int convert(const ConvertArguments& options) {
  ConvertOptions asked = as_asked(options);
  require_fitting(options, asked);
  const Checkpoint checkpoint(options.model);
  const InterruptNote interrupt(InterruptNote::Of::kEverySignal);
  ProgressLine line("writing", options.is_quiet);
  asked.write.progress = [&](std::uint64_t done, std::uint64_t total) {
    line.show(done, total);
    return !interrupt.is_interrupted();
  };
  try {
    std::string told;
    if (is_gguf(options)) {
      convert_to_gguf(
          checkpoint, options.output,
          {.type = options.gguf_type.value_or("keep"), .progress = asked.write.progress});
      told = bytes_text(std::filesystem::file_size(options.output));
    } else {
      const Converted written = mlxnx::convert(checkpoint, options.output, asked);
      told = fmt::format("{}, {:.3f} bits per weight", bytes_text(written.bytes),
                         written.bits_per_weight());
      if (!written.has_tokenizer) {
        line.clear();
        print_error("the file's tokenizer could not be written as a tokenizer.json");
      }
    }
    line.clear();
    if (!options.is_quiet) print(fmt::format("{}: {}\n", options.output, told));
  } catch (...) {
    // Whatever fails after a signal fails because of it: standard error may be gone.
    line.clear();
    interrupt.end_if_interrupted();
    throw;
  }
  return 0;
}

}  // namespace

Action add_convert(CLI::App& app) {
  const auto options = std::make_shared<ConvertArguments>();
  app.footer(
      "Examples: mlxnx convert SmolLM2-135M-Instruct -q -o SmolLM2-4bit\n"
      "          mlxnx convert model -q --q-mode mxfp4 --dtype bfloat16 -o model-mxfp4\n"
      "          mlxnx convert model-4bit --dequantize -o model-dense\n"
      "          mlxnx convert model --gguf-type q8_0 -o model.gguf\n"
      "The folder has mlx-lm's layout. It must not exist, and appears when all is written.");
  app.add_option("MODEL,--model,--hf-path", options->model, "A model folder or a file of tensors")
      ->type_name("PATH")
      ->required();
  app.add_option("-o,--output,--mlx-path", options->output,
                 "Where the new folder goes, or a GGUF file by its suffix")
      ->capture_default_str();
  app.add_flag("-q,--quantize", options->quantize, "Quantize the matrices of layers");
  app.add_option("--q-bits", options->bits,
                 "Bits per weight; the mode's default is usual (affine: 4)")
      ->type_name("N");
  app.add_option("--q-group-size", options->group_size,
                 "Weights that share a scale; the mode's default is usual (affine: 64)")
      ->type_name("N");
  app.add_option("--q-mode", options->mode, "How weights are quantized; affine unless given")
      ->check(CLI::IsMember({"affine", "mxfp4", "nvfp4", "mxfp8"}));
  app.add_option("--quant-predicate", options->recipe, "More bits for the layers that need them")
      ->check(CLI::IsMember({"mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"}));
  app.add_option("-d,--dtype", options->dtype,
                 "The type of what is not quantized; what config.json says unless given")
      ->check(CLI::IsMember({"float16", "bfloat16", "float32"}));
  app.add_flag("--dequantize", options->dequantize, "Make quantized matrices dense");
  app.add_option(
         "--gguf-type", options->gguf_type,
         "Where the output ends in .gguf: what matrices become; keep, unless given, leaves types "
         "as they are, and makes matrices that MLX has quantized dense")
      ->check(CLI::IsMember({"keep", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"}));
  app.add_flag("--quiet", options->is_quiet, "Print errors only");
  return [options] { return convert(*options); };
}

}  // namespace mlxnx::cli
