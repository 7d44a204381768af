#include "mlxnx/literal.h"

#include <limits>
#include <utility>

#include "ops/type_rules.h"
#include "tensor/element.h"

namespace mlxnx {
namespace {

// Walks nested lists in row-major order; every list must have the shape of the first of its depth.
class Reader {
 public:
  explicit Reader(const Literal& root) : root_(root) {
    for (const Literal* at = &root; at->is_list(); at = &at->list().front()) {
      shape_.push_back(static_cast<std::int64_t>(at->list().size()));
      if (at->list().empty()) break;
    }
  }

  const Shape& shape() const { return shape_; }

  template <typename Visit>
  void each(Visit visit) const {
    walk(root_, 0, visit);
  }

 private:
  static Shape shape_of(const Literal& literal) {
    Shape shape;
    for (const Literal* at = &literal; at->is_list(); at = &at->list().front()) {
      shape.push_back(static_cast<std::int64_t>(at->list().size()));
      if (at->list().empty()) break;
    }
    return shape;
  }

  template <typename Visit>
  void walk(const Literal& literal, std::size_t depth, Visit& visit) const {
    if (!literal.is_list()) return visit(literal);
    const std::vector<Literal>& list = literal.list();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Shape expected(shape_.begin() + depth + 1, shape_.end());
      if (const Shape found = shape_of(list[i]); !(found == expected)) {
        throw ShapeError(
            "[tensor] lists of different shapes beside each other: " + to_string(expected) +
            " at position 0 and " + to_string(found) + " at position " + std::to_string(i));
      }
      walk(list[i], depth + 1, visit);
    }
  }

  const Literal& root_;
  Shape shape_;
};

DType inferred_type(const Reader& reader) {
  std::optional<DType> type;
  reader.each([&](const Literal& number) {
    type = type ? ops::merge(*type, number.type()) : number.type();
  });
  return type.value_or(DType::f32);
}

}  // namespace

DType Literal::type_of(const Number& number, bool is_bool) {
  return is_bool ? DType::u8 : Tensor::inferred_type(number);
}

Tensor literal::build(const Literal& value, std::optional<DType> type) {
  const Reader reader(value);
  const TensorType wanted{type ? *type : inferred_type(reader), reader.shape()};
  std::vector<std::byte> bytes;
  const std::size_t step = size_bytes(wanted.dtype);
  reader.each([&](const Literal& number) {
    bytes.resize(bytes.size() + step);
    tensors::encode(number.number(), wanted.dtype, bytes.data() + bytes.size() - step);
  });
  return Tensor::from_bytes(bytes, wanted);
}

}  // namespace mlxnx
