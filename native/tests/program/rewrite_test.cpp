// Rewriting regions: what is rewritten, what is left alone, and that the results stay.
#include "program/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mlxnx/operators.h"
#include "mlxnx/ops/contraction.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/shape.h"
#include "program/build_helpers.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;

struct Product {
  Shape left, right;
  Axes contract_left, contract_right, batch;
  Axes swap;  // of the result's axes

  ops::Attrs attrs() const {
    return {{"contract_axes1", contract_left},
            {"batch_axes1", batch},
            {"contract_axes2", contract_right},
            {"batch_axes2", batch}};
  }
};

const Product kMatrices{{2, 3}, {3, 4}, {1}, {0}, {}, {1, 0}};

// transpose(dot(a, b)) + 1
std::shared_ptr<const Region> transposed(const Product& product) {
  RegionBuilder builder;
  const ValueId a = builder.input("a", s32(product.left));
  const ValueId b = builder.input("b", s32(product.right));
  const ValueId dot = builder.op("dot", {a, b}, product.attrs());
  const ValueId turned = builder.op("transpose", {dot}, {{"axes", product.swap}});
  return builder.region(std::vector{builder.op("add", {turned, number(builder, std::int64_t{1})})});
}

std::vector<std::string> names(const Region& region) {
  std::vector<std::string> result;
  for (const Instruction& instruction : region.instructions)
    result.emplace_back(instruction.name());
  return result;
}

class SwappedProducts : public testing::TestWithParam<Product> {};

TEST_P(SwappedProducts, NeedNoTranspose) {
  const Product& product = GetParam();
  const auto before = transposed(product);
  const auto after = rewritten(before);
  EXPECT_THAT(names(*after), ElementsAre("dot", "constant", "add"));
  EXPECT_THAT(after->instructions[0].operands, ElementsAre(1, 0));
  EXPECT_EQ(after->output_types(), before->output_types());
}

TEST_P(SwappedProducts, HaveTheSameElements) {
  const Product& product = GetParam();
  const Tensor a = iota(product.left);
  const Tensor b = iota(product.right);
  const Tensor product_of_both =
      dot(a, product.contract_left, product.batch, b, product.contract_right, product.batch);
  const Tensor expected = transpose(product_of_both, {.axes = product.swap}) + 1;
  const auto outputs = run({*rewritten(transposed(product)), {}}, {a, b});
  EXPECT_EQ(outputs.at(0).type(), expected.type());
  EXPECT_EQ(outputs.at(0).to_vector<std::int32_t>(), expected.to_vector<std::int32_t>());
}

INSTANTIATE_TEST_SUITE_P(Geometries, SwappedProducts,
                         testing::Values(kMatrices, Product{{3, 2}, {3, 4}, {0}, {0}, {}, {1, 0}},
                                         Product{{2, 3}, {4, 5, 3}, {1}, {2}, {}, {1, 2, 0}},
                                         Product{{2, 3, 5}, {3, 5, 4}, {1, 2}, {0, 1}, {}, {1, 0}},
                                         Product{{6, 2, 3}, {6, 3, 4}, {2}, {1}, {0}, {0, 2, 1}},
                                         Product{
                                             {6, 3, 2, 7}, {6, 3, 4}, {1}, {1}, {0}, {0, 3, 1, 2}},
                                         Product{{2}, {3, 4}, {}, {}, {}, {1, 2, 0}}));

TEST(Rewrite, LeavesOtherPermutationsAlone) {
  const Product product{{2, 3}, {4, 5, 3}, {1}, {2}, {}, {0, 2, 1}};
  const auto region = transposed(product);
  EXPECT_EQ(rewritten(region), region);
}

TEST(Rewrite, LeavesProductsAloneThatOthersRead) {
  RegionBuilder builder;
  const ValueId a = builder.input("a", s32(kMatrices.left));
  const ValueId b = builder.input("b", s32(kMatrices.right));
  const ValueId dot = builder.op("dot", {a, b}, kMatrices.attrs());
  const ValueId turned = builder.op("transpose", {dot}, {{"axes", kMatrices.swap}});
  const auto region = builder.region(std::vector{turned, dot});
  EXPECT_EQ(rewritten(region), region);
}

// A region may be all of a loop's body: the numbering of what it keeps changes.
TEST(Rewrite, RenumbersWhatComesLater) {
  RegionBuilder builder;
  const ValueId a = builder.input("a", s32({2, 2}));
  ValueId value = a;
  for (int i = 0; i < 3; ++i) {
    const Axes last{1}, first{0};
    value = builder.op("dot", {value, a}, {{"contract_axes1", last}, {"contract_axes2", first}});
    value = builder.op("transpose", {value}, {{"axes", Axes{1, 0}}});
  }
  const auto region = rewritten(builder.region(std::vector{value, a}));
  EXPECT_THAT(names(*region), ElementsAre("dot", "dot", "dot"));
  EXPECT_THAT(region->outputs, ElementsAre(3, 0));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(region->instructions[i].first, i + 1);
}

}  // namespace
}  // namespace mlxnx::program
