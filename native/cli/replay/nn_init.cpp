#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "mlxnx/mlxnx.h"
#include "nn/function.h"
#include "replay/nn.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

Tensor draw(const GoldenNn& nn, json options, const Tensor& key) {
  options.update(nn.call);
  options["shape"] = nn.whole.at("shape");
  const nn::FunctionDef& row = nn::function(nn::Family::kInit, nn.name);
  const std::vector<std::optional<Tensor>> operands{key};
  return nn::call(row, operands, options_from_json(options, row.options)).front();
}

// Mean, deviation and bounds of many draws.
void judge_statistics(const json& expected, const Tensor& drawn, NnJudge& judge) {
  const std::vector<double> all = as_type(drawn, DType::f64).to_vector<double>();
  const auto count = static_cast<double>(all.size());
  const double mean = std::accumulate(all.begin(), all.end(), 0.0) / count;
  double squares = 0;
  for (const double value : all) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / count);
  const double wanted = expected.at("std").get<double>();
  if (!(std::abs(mean - expected.at("mean").get<double>()) < 5 * wanted / std::sqrt(count)))
    judge.fail(fmt::format("the mean is {}, expected {}", mean, expected.at("mean").dump()));
  if (!(std::abs(deviation - wanted) <= 0.02 * wanted))
    judge.fail(fmt::format("the deviation is {}, expected {}", deviation, wanted));
  if (!expected.contains("low")) return;
  // Bounds may be rounded to the type of the draws.
  const auto [least, most] = std::minmax_element(all.begin(), all.end());
  const double slack = 1e-6 * (1 + std::abs(*most));
  if (*least < expected.at("low").get<double>() - slack ||
      *most > expected.at("high").get<double>() + slack)
    judge.fail(fmt::format("draws are in {} to {}, which is out of bounds", *least, *most));
}

void judge_zeros(const json& wanted, const Tensor& drawn, NnJudge& judge) {
  const Tensor zeros = sum(equal(drawn, 0), {.axes = Axes{1}});
  const auto least = reduce_min(zeros).item<std::int64_t>();
  const auto most = reduce_max(zeros).item<std::int64_t>();
  if (least != wanted.at(0).get<std::int64_t>() || most != wanted.at(1).get<std::int64_t>())
    judge.fail(fmt::format("rows have {} to {} zeros, expected {}", least, most, wanted.dump()));
}

void judge_gram(const json& wanted, double gain, const Tensor& drawn, NnJudge& judge) {
  const Tensor x = as_type(drawn, DType::f32);
  const Tensor gram = wanted.at("of") == "rows" ? dot(x, transpose(x)) : dot(transpose(x), x);
  const Tensor unit = eye(gram.shape()[0], {.type = DType::f32}) * (gain * gain);
  const auto deviation = reduce_max(abs(gram - unit)).item<double>();
  if (!(deviation < (drawn.dtype() == DType::f32 ? 1e-4 : 4e-3)))
    judge.fail(
        fmt::format("products of {} are {} from orthogonal", wanted.at("of").dump(), deviation));
}

}  // namespace

void run_nn_init(const GoldenCase& golden, const RunOptions&, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  const Tensor drawn = draw(nn, golden.attrs, random::key(golden.line));
  if (!golden.outputs.empty()) return judge.outputs({drawn});
  const json& whole = nn.whole;
  bool is_judged = false;
  if (const auto found = whole.find("expected"); found != whole.end() && found->contains("std")) {
    judge_statistics(*found, drawn, judge);
    is_judged = true;
  }
  if (const auto found = whole.find("zeros_per_row"); found != whole.end()) {
    judge_zeros(*found, drawn, judge);
    is_judged = true;
  }
  if (const auto found = whole.find("gram"); found != whole.end()) {
    judge_gram(*found, golden.attrs.value("gain", 1.0), drawn, judge);
    is_judged = true;
  }
  if (!is_judged) judge.fail("the case says nothing to judge by");
}

}  // namespace mlxnx::cli
