// A llama of 300 words in a folder, with a tokenizer of bytes and a chat template.
#pragma once

#include "llm/tiny_models.h"
#include "mlxnx/io.h"
#include "temp_folder.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx::testing_support {

inline constexpr const char* kChatTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

inline void write_text_model(const TempFolder& folder) {
  const llm::Model model = tiny_llama();
  folder.write("config.json", model.config().to_json());
  folder.write("tokenizer.json", byte_level_json().dump());
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<|end|>"}})");
  folder.write("chat_template.jinja", kChatTemplate);
  const nn::NamedTensors tensors = model.named_tensors();
  save_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
}

}  // namespace mlxnx::testing_support
