// mlxnx models: the families of language models, for people (text) and documents (md).
#include <fmt/format.h>

#include <memory>
#include <string>

#include "command.h"
#include "mlxnx/llm/model.h"
#include "output.h"

namespace mlxnx::cli {
namespace {

struct ModelsArguments {
  std::string format = "text";
};

std::string to_text() {
  std::string text;
  for (const llm::FamilyInfo& family : llm::families()) {
    text += fmt::format("{:<20} {}\n", family.name, family.title);
    for (const auto other : family.other_names)
      text += fmt::format("{:<20} the same as {}\n", other, family.name);
  }
  return text;
}

std::string to_markdown() {
  std::string text = fmt::format(
      "# Language models\n\n"
      "<!-- written by `make docs` -->\n\n"
      "The {} families of `model_type` that `mlxnx generate`, `llm::Model` and `Mlx.LLM` load, "
      "from folders in Hugging Face's\n"
      "and in mlx-lm's layout: dense, quantized (affine, mxfp4, nvfp4, mxfp8, AWQ, GPTQ, FP8), and "
      "with adapters. GGUF files load for\n"
      "the architectures that [limitations](limitations.md) names.\n\n"
      "Checked: **recorded** families answer what mlx-lm was recorded to answer, for prompts at "
      "once, in pieces, token by token and in\n"
      "padded batches (`mlxnx replay`); **drawn** ones answered what mlx-lm does with random "
      "weights when they were written. Where mlx-lm\n"
      "leaves a setting aside, or computes otherwise than a family's definition says, so do these; "
      "the last column tells.\n\n"
      "| `model_type` | models | checked | otherwise than settings say |\n|---|---|---|---|\n",
      llm::families().size());
  for (const llm::FamilyInfo& family : llm::families()) {
    std::string names = fmt::format("`{}`", family.name);
    for (const auto other : family.other_names) names += fmt::format(", `{}`", other);
    text += fmt::format(
        "| {} | {} | {} | {} |\n", names, family.title,
        family.checked == llm::FamilyInfo::Checked::kRecorded ? "recorded" : "drawn", family.note);
  }
  return text;
}

}  // namespace

Action add_models(CLI::App& app) {
  const auto options = std::make_shared<ModelsArguments>();
  app.footer("Example: mlxnx models | grep qwen");
  app.add_option("--format", options->format, "A list for people, or a page")
      ->check(CLI::IsMember({"text", "md"}))
      ->capture_default_str();
  return [options] {
    print(options->format == "md" ? to_markdown() : to_text());
    return 0;
  };
}

}  // namespace mlxnx::cli
