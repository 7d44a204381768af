// The text part of a model of more than that: another family's, as its member `language_model`.
#pragma once

#include <memory>
#include <string_view>

#include "llm/module.h"

namespace mlxnx::llm {

/// The settings of the text part, with `tie_word_embeddings` of the whole where that alone says it.
Config language_config(const Config& config);

/// `family`'s model of those settings, its names behind `language_model.`.
std::unique_ptr<Module> make_language_model(const Family& family, const Config& text, Maker& maker);

/// Leaves out towers for images and sounds, and brings the text's names, with which `family`'s own
/// `sanitize` goes on, behind `language_model.`.
void sanitize_language_model(const Family& family, nn::Parameters& weights, const Config& text);

/// Whether there is a head of its own among the weights, under whichever prefix.
bool has_head(const nn::Parameters& weights);

}  // namespace mlxnx::llm
