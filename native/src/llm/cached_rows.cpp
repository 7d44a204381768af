#include "llm/cached_rows.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "tensor/in_place.h"

namespace mlxnx::llm::rows {
namespace {

constexpr std::int64_t kAxis = 2;

// The same done to each tensor of the form.
template <typename Change>
CachedRows each(const CachedRows& all, const Change& change) {
  CachedRows result;
  if (all.dense) result.dense = change(*all.dense);
  if (all.quantized) {
    result.quantized = all.quantized;
    result.quantized->weight = change(all.quantized->weight);
    result.quantized->scales = change(all.quantized->scales);
    if (all.quantized->biases) result.quantized->biases = change(*all.quantized->biases);
  }
  return result;
}

template <typename Join>
CachedRows pairs(const CachedRows& first, const CachedRows& second, const Join& join) {
  CachedRows result;
  if (first.dense) result.dense = join(*first.dense, *second.dense);
  if (first.quantized) {
    const Quantized &a = *first.quantized, &b = *second.quantized;
    result.quantized = a;
    result.quantized->weight = join(a.weight, b.weight);
    result.quantized->scales = join(a.scales, b.scales);
    if (a.biases) result.quantized->biases = join(*a.biases, *b.biases);
  }
  return result;
}

}  // namespace

std::int64_t capacity(const CachedRows& all) {
  if (all.is_empty()) return 0;
  return (all.dense ? *all.dense : all.quantized->weight).shape()[kAxis];
}

CachedRows part(const CachedRows& all, std::int64_t from, std::int64_t count) {
  if (from == 0 && count == capacity(all)) return all;
  return each(all, [&](const Tensor& tensor) {
    return slice_along_axis(tensor, from, count, {.axis = kAxis});
  });
}

CachedRows joined(const CachedRows& first, const CachedRows& second) {
  return pairs(first, second, [](const Tensor& a, const Tensor& b) {
    return concatenate({a, b}, {.axis = kAxis});
  });
}

CachedRows grown(const CachedRows& all, std::int64_t by) {
  return each(all, [&](const Tensor& tensor) {
    Shape more = tensor.shape();
    more[kAxis] = by;
    return concatenate({tensor, constant(std::int64_t{0}, tensor.dtype(), more)}, {.axis = kAxis});
  });
}

void put(CachedRows& all, std::int64_t at, const CachedRows& some) {
  const auto put_piece = [&](Tensor& whole, const Tensor& piece) {
    if (!tensors::put_in_place(whole, {0, 0, at, 0}, piece))
      whole = put_slice(whole, {0, 0, at, 0}, piece);
  };
  if (all.dense) put_piece(*all.dense, *some.dense);
  if (!all.quantized) return;
  Quantized& to = *all.quantized;
  const Quantized& from = *some.quantized;
  put_piece(to.weight, from.weight);
  put_piece(to.scales, from.scales);
  if (to.biases) put_piece(*to.biases, *from.biases);
}

CachedRows in_form_of(const CachedRows& like, const Tensor& dense) {
  if (!like.quantized) return {.dense = dense};
  return {.quantized = mlxnx::quantize(dense, like.quantized->form)};
}

CachedRows quantized(const CachedRows& dense, const KvQuantization& form) {
  if (!dense.dense) return dense;
  return {.quantized =
              mlxnx::quantize(*dense.dense, {.bits = form.bits, .group_size = form.group_size})};
}

void require_groups(const CachedRows& dense, const KvQuantization& form) {
  if (!dense.dense) return;
  const std::int64_t size = dense.dense->shape().back();
  if (form.group_size > 0 && size % form.group_size == 0) return;
  throw ShapeError(
      fmt::format("[cache] heads of {} numbers are no groups of {}: keys and values can be "
                  "quantized where a kv_group_size of 32, 64 or 128 divides that",
                  size, form.group_size));
}

std::size_t byte_size(const CachedRows& all) {
  std::vector<Tensor> tensors;
  collect(all, tensors);
  std::size_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.byte_size();
  return bytes;
}

void collect(const CachedRows& all, std::vector<Tensor>& tensors) {
  each(all, [&](const Tensor& tensor) {
    tensors.push_back(tensor);
    return tensor;
  });
}

}  // namespace mlxnx::llm::rows
