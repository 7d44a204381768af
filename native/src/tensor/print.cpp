// A tensor as text, in the layout of Nx's inspect.
#include <cstddef>
#include <span>

#include "mlxnx/tensor.h"
#include "tensor/decimal.h"

namespace mlxnx {
namespace {

// Elixir's default for `limit` in inspect options.
constexpr std::int64_t kElementLimit = 50;

class Printer {
 public:
  Printer(const Tensor& tensor, std::span<const std::byte> bytes)
      : type_(tensor.type()), next_(bytes.data()) {}

  std::string text() {
    std::string out = "#Nx.Tensor<\n  " + to_string(type_) + "\n  ";
    append(out, 0, 2);
    return out + "\n>";
  }

 private:
  void append_element(std::string& out) {
    out += tensors::element_text(type_.dtype, next_);
    next_ += size_bytes(type_.dtype);
    --left_;
  }

  // One list per axis: the innermost on one line, those around it with a list per line.
  void append(std::string& out, std::size_t axis, std::size_t indent) {
    if (axis == type_.shape.size()) return append_element(out);
    const bool innermost = axis + 1 == type_.shape.size();
    const std::string line = "\n" + std::string(indent + 2, ' ');
    out += '[';
    for (std::int64_t i = 0; i < type_.shape[axis]; ++i) {
      if (i > 0) out += innermost ? ", " : ",";
      if (!innermost) out += line;
      if (left_ == 0) {
        out += "...";
        break;
      }
      append(out, axis + 1, indent + 2);
    }
    if (!innermost && type_.shape[axis] > 0) out += "\n" + std::string(indent, ' ');
    out += ']';
  }

  const TensorType& type_;
  const std::byte* next_;
  std::int64_t left_ = kElementLimit;
};

}  // namespace

std::string Tensor::to_string() const {
  const TensorView view(*this);
  return Printer(*this, view.bytes()).text();
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << tensor.to_string();
}

}  // namespace mlxnx
