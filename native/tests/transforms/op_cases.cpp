#include "transforms/op_cases.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>

#include "ops/invoke.h"
#include "ops/number_tensors.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "transforms/algebra.h"

namespace mlxnx::transforms {
namespace {

// A word of a case: what the tensor is and how it goes into the call.
struct Word {
  std::optional<std::size_t> again;  // #0
  TensorType type;
  double low = -2, high = 2;
  std::vector<double> elements;
  std::string matrix;
};

// What stands in `text` behind `mark`, which is cut off.
std::string take_behind(std::string& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return "";
  std::string rest = text.substr(at + 1);
  text.resize(at);
  return rest;
}

std::vector<double> numbers(const std::string& list) {
  std::vector<double> result;
  std::istringstream in(list);
  for (std::string item; std::getline(in, item, ',');) result.push_back(std::stod(item));
  return result;
}

Word parse(std::string text, DType type) {
  Word word;
  if (text[0] == '#') {
    word.again = std::stoul(text.substr(1));
    return word;
  }
  word.matrix = take_behind(text, '!');
  word.elements = numbers(take_behind(text, '='));
  const std::string range = take_behind(text, ':');
  if (!range.empty()) {
    word.low = std::stod(range);
    word.high = std::stod(range.substr(range.find("..") + 2));
  }
  for (const double dim : numbers(take_behind(text, '[')))
    word.type.shape.push_back(static_cast<std::int64_t>(dim));
  word.type.dtype = text == "f64" ? type : dtype_from_name(text);
  return word;
}

std::vector<Word> parse_all(std::string_view words, DType type) {
  std::vector<Word> result;
  std::istringstream in{std::string(words)};
  for (std::string word; in >> word;) result.push_back(parse(word, type));
  return result;
}

Tensor sample(const Word& word, Sampler& sampler, std::size_t example) {
  if (word.elements.empty()) return sampler(word.type, word.low, word.high);
  const std::size_t count = word.elements.size();
  if (word.type.shape.empty()) {
    const double given = word.elements[0];
    const double other = std::max(given - static_cast<double>(example), 0.0);
    return generate(word.type.dtype, {}, [&](std::size_t) { return example == 0 ? given : other; });
  }
  const std::size_t row = count / static_cast<std::size_t>(word.type.shape[0]);
  return generate(word.type.dtype, word.type.shape,
                  [&](std::size_t i) { return word.elements[(i + example * row) % count]; });
}

Tensor shaped(const Tensor& a, const std::string& matrix) {
  if (matrix == "spd")
    return matmul(a, adjoint(a)) + identity(a.shape().back(), a.dtype()) * a.shape().back();
  if (matrix == "hermitian") return a + adjoint(a);
  if (matrix == "diagonal") return a + identity(a.shape().back(), a.dtype()) * 3;
  return a;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const OpCase& op_case) {
  return out << op_case.op << " of " << op_case.operands << " " << op_case.attrs;
}

Tensors operands_of(std::string_view words, DType type, std::size_t example) {
  Sampler sampler(words.size() + example);
  Tensors result;
  for (const Word& word : parse_all(words, type)) {
    if (!word.again) result.push_back(sample(word, sampler, example));
  }
  return result;
}

Subject subject(const OpCase& op_case, DType type) {
  const ops::OpDef& op = ops::op(op_case.op);
  const std::vector<Word> words = parse_all(op_case.operands, type);
  const ops::Attrs attrs = program::attrs_from_json(nlohmann::json::parse(op_case.attrs), op.attrs);
  return subject(operands_of(op_case.operands, type), [&](const Tensors& inputs) {
    Tensors operands;
    std::size_t next = 0;
    for (const Word& word : words)
      operands.push_back(word.again ? operands[*word.again] : shaped(inputs[next++], word.matrix));
    return ops::invoke_all(op, std::span<const Tensor>(operands), attrs);
  });
}

}  // namespace mlxnx::transforms
