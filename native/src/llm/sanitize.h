// What the families' `sanitize` is written with: changes of a map from names to tensors, and what
// the settings are about.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "mlxnx/config.h"
#include "mlxnx/nn/layer.h"

namespace mlxnx::llm {

/// Leaves out what is meant.
void drop(nn::Parameters& weights, const std::function<bool(std::string_view name)>& which);
/// Leaves out `lm_head` where the model has the embedding in its place.
void drop_tied_head(nn::Parameters& weights, bool is_tied);
/// Leaves out the buffers of rotary positions, and a tied head: what checkpoints of most families
/// hold beside the weights.
void drop_unused(nn::Parameters& weights, bool is_tied);
/// Leaves out `model.layers.<n>.…` from the layer `count` on, which predict several tokens.
void drop_layers_past(nn::Parameters& weights, std::size_t count);
/// Gives each tensor the name that `rename` answers; an empty one leaves it out.
void rename(nn::Parameters& weights, const std::function<std::string(std::string_view)>& rename);
/// The same with a single one, if it is there.
void rename_one(nn::Parameters& weights, const std::string& from, const std::string& to);
/// `from` replaced by `to`, wherever it stands.
std::string replaced(std::string_view name, std::string_view from, std::string_view to);
/// Stacks `<prefix>.experts.<0…>.<from>.<part>` to `<prefix>.<to>.<part>`, for weight, scales,
/// biases and bias, if the first of them is there.
void stack_experts(nn::Parameters& weights, const std::string& prefix, std::string_view from,
                   const std::string& to, std::int64_t count);

/// `model_type` of the settings.
/// Throws: UnsupportedError for a model that brings code of its own, which is not run.
std::string model_type(const Config& config);
/// The part of the settings that is about text, in models of more than that.
Config text_config(const Config& config);

}  // namespace mlxnx::llm
