// Checks of factorisations: right ones pass whatever their signs, wrong ones are named.
#include "replay/factorisation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>

namespace mlxnx::cli {
namespace {

using testing::HasSubstr;

// Keeps the elements that the tensors of a test point at.
class Tensors {
 public:
  GoldenTensor make(Shape shape, std::vector<double> values) {
    storage_.push_back(std::move(values));
    return {{DType::f64, std::move(shape)}, std::as_bytes(std::span(storage_.back()))};
  }

 private:
  std::deque<std::vector<double>> storage_;
};

struct Sample {
  Tensors tensors;
  GoldenCase golden;

  Sample(const char* op, std::vector<double> input) {
    golden.op = op;
    golden.inputs = {tensors.make({2, 2}, std::move(input))};
  }
  std::string fault(const std::vector<GoldenTensor>& got) {
    return factorisation_fault(golden, got).value_or("");
  }
};

TEST(Factorisation, AcceptsQrUpToSigns) {
  Sample sample("block:LinAlg.QR", {3, 1, 4, 2});
  Tensors& t = sample.tensors;
  const GoldenTensor q = t.make({2, 2}, {0.6, -0.8, 0.8, 0.6});
  const GoldenTensor r = t.make({2, 2}, {5, 2.2, 0, 0.4});
  sample.golden.outputs = {q, r};
  EXPECT_EQ(sample.fault({q, r}), "");
  EXPECT_EQ(
      sample.fault({t.make({2, 2}, {-0.6, -0.8, -0.8, 0.6}), t.make({2, 2}, {-5, -2.2, 0, 0.4})}),
      "");
  EXPECT_THAT(sample.fault({q, t.make({2, 2}, {5, 2.2, 0, 0.5})}), HasSubstr("not the input"));
  EXPECT_THAT(sample.fault({t.make({2, 2}, {1, 0, 0, 1}), sample.golden.inputs[0]}),
              HasSubstr("not upper triangular"));
  EXPECT_THAT(sample.fault({sample.golden.inputs[0], t.make({2, 2}, {1, 0, 0, 1})}),
              HasSubstr("Q^H Q"));
  EXPECT_THAT(sample.fault({t.make({2, 2}, {NAN, 0, 0, 1}), r}), HasSubstr("Q^H Q"));
}

TEST(Factorisation, ChecksLu) {
  Sample sample("block:LinAlg.LU", {1, 2, 2, 8});
  Tensors& t = sample.tensors;
  const GoldenTensor p = t.make({2, 2}, {0, 1, 1, 0});
  const GoldenTensor l = t.make({2, 2}, {1, 0, 0.5, 1});
  const GoldenTensor u = t.make({2, 2}, {2, 8, 0, -2});
  sample.golden.outputs = {p, l, u};
  EXPECT_EQ(sample.fault({p, l, u}), "");
  const GoldenTensor eye = t.make({2, 2}, {1, 0, 0, 1});
  EXPECT_THAT(sample.fault({eye, l, u}), HasSubstr("not the input"));
  EXPECT_THAT(sample.fault({l, l, u}), HasSubstr("permutation"));
  EXPECT_THAT(sample.fault({p, t.make({2, 2}, {2, 0, 1, 2}), u}), HasSubstr("diagonal of L"));
  EXPECT_THAT(sample.fault({eye, eye, sample.golden.inputs[0]}), HasSubstr("U is not upper"));
}

TEST(Factorisation, ChecksSvd) {
  Sample sample("block:LinAlg.SVD", {0, 3, 2, 0});
  Tensors& t = sample.tensors;
  const GoldenTensor u = t.make({2, 2}, {1, 0, 0, 1});
  const GoldenTensor s = t.make({2}, {3, 2});
  const GoldenTensor vt = t.make({2, 2}, {0, 1, 1, 0});
  sample.golden.outputs = {u, s, vt};
  EXPECT_EQ(sample.fault({u, s, vt}), "");
  EXPECT_EQ(sample.fault({t.make({2, 2}, {-1, 0, 0, 1}), s, t.make({2, 2}, {0, -1, 1, 0})}), "");
  EXPECT_THAT(sample.fault({vt, t.make({2}, {2, 3}), u}), HasSubstr("descending"));
  EXPECT_THAT(sample.fault({u, t.make({2}, {3, -2}), vt}), HasSubstr("negative"));
  EXPECT_THAT(sample.fault({u, t.make({2}, {3, 1}), vt}), HasSubstr("not the input"));
}

TEST(Factorisation, ChecksEigenvaluesInNxsOrder) {
  Sample sample("block:LinAlg.Eigh", {2, 0, 0, 3});
  Tensors& t = sample.tensors;
  const GoldenTensor w = t.make({2}, {3, 2});
  const GoldenTensor v = t.make({2, 2}, {0, 1, 1, 0});
  sample.golden.outputs = {w, v};
  EXPECT_EQ(sample.fault({w, v}), "");
  EXPECT_EQ(sample.fault({w, t.make({2, 2}, {0, -1, 1, 0})}), "");
  EXPECT_THAT(sample.fault({t.make({2}, {2, 3}), t.make({2, 2}, {1, 0, 0, 1})}),
              HasSubstr("eigenvalue 0 is 2, expected 3"));
  EXPECT_THAT(sample.fault({w, t.make({2, 2}, {1, 0, 0, 1})}), HasSubstr("A V is not V W"));
}

TEST(Factorisation, KnowsItsOps) {
  EXPECT_TRUE(is_factorisation("block:LinAlg.QR"));
  EXPECT_FALSE(is_factorisation("block:LinAlg.Cholesky"));
}

}  // namespace
}  // namespace mlxnx::cli
