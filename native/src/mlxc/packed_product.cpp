#include "mlxc/packed_product.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "mlxc/blas_library.h"
#include "mlxc/crew.h"

// Routed as MLX's own products are (blas_products.cpp).
extern "C" void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                            const float* a, int lda, const float* b, int ldb, float beta, float* c,
                            int ldc);

namespace mlxnx::mlxc {
namespace {

using kernels::Float;
using kernels::QuantizedMatrix;
using Floats = std::unique_ptr<float[]>;

Floats floats(std::int64_t count) {
  return std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(count));
}

// From so many rows of x on it is quicker to unpack the matrix by panels than in each strip of
// rows.
constexpr std::int64_t kManyRows = 24;
// Floats of rows of x that all rows of a matrix are multiplied with before the next ones are: they
// stay in a core's cache.
constexpr std::int64_t kBlock = 1 << 16;
// Floats of a panel: it stays in a core's cache while it is multiplied.
constexpr std::int64_t kPanel = 1 << 17;

// body(first, count) for parts of `size` on as many threads.
template <typename Body>
void share_ranges(std::int64_t size, std::int64_t parts, int threads, const Body& body) {
  if (parts <= 1) return body(std::int64_t{0}, size);
  Crew::process().run(static_cast<int>(parts), threads, [&](int part) {
    // Whole tiles of the kernels but for the last.
    const auto edge = [&](std::int64_t i) { return i == parts ? size : size * i / parts / 4 * 4; };
    const std::int64_t first = edge(part), count = edge(part + 1) - first;
    if (count > 0) body(first, count);
  });
}

// x [rows, columns] times the transposed matrix.
void multiply_few(const QuantizedMatrix& w, const float* x, std::int64_t rows, float* out) {
  Floats arranged;
  kernels::Rows from{x, rows, w.columns};
  if (kernels::takes_arranged(w)) {
    from.size = kernels::arranged_size(w);
    arranged = floats(rows * from.size);
    kernels::arrange(w, x, rows, arranged.get());
    from.data = arranged.get();
  }
  const double weights = static_cast<double>(w.rows) * static_cast<double>(w.columns);
  // Up to four rows take the time of one, and a weight that of four multiplications.
  const int threads = threads_for(4 * weights * static_cast<double>((rows + 3) / 4));
  const std::int64_t block = std::max<std::int64_t>(kBlock / w.columns / 4 * 4, 16);
  // More parts than threads, so that a thread which others hold up costs less.
  share_ranges(
      w.rows, threads == 1 ? 1 : 4 * threads, threads, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t i = 0; i < rows; i += block) {
          const kernels::Rows some{from.data + i * from.size, std::min(block, rows - i), from.size};
          kernels::quantized_dot(w, some, first, count, out + i * w.rows + first, w.rows);
        }
      });
}

std::int64_t rows_of_panel(const QuantizedMatrix& w) {
  return std::clamp<std::int64_t>(kPanel / w.columns / 16 * 16, 16,
                                  std::max<std::int64_t>(w.rows, 16));
}

int blas_size(std::int64_t size) { return static_cast<int>(size); }

// The same for many rows. Panels are unpacked and multiplied by the thread that takes them.
void multiply_many(const QuantizedMatrix& w, const float* x, std::int64_t rows, float* out) {
  const BlasLibrary& blas = blas_library();
  const std::int64_t height = rows_of_panel(w), panels = (w.rows + height - 1) / height;
  const double work =
      static_cast<double>(w.rows) * static_cast<double>(w.columns) * static_cast<double>(rows);
  const int threads = blas.single_threaded ? std::min(threads_for(work / 4), blas_size(panels)) : 1;
  const Floats memory = floats(threads * height * w.columns);
  std::atomic<std::int64_t> next{0};
  Crew::process().run(threads, threads, [&](int part) {
    float* const panel = memory.get() + part * height * w.columns;
    for (std::int64_t i = next.fetch_add(1); i < panels; i = next.fetch_add(1)) {
      const std::int64_t first = i * height, count = std::min(height, w.rows - first);
      kernels::dequantize_rows(w, first, count, panel);
      blas.sgemm(kRowMajor, kNoTranspose, kTranspose, blas_size(rows), blas_size(count),
                 blas_size(w.columns), 1, x, blas_size(w.columns), panel, blas_size(w.columns), 0,
                 out + first, blas_size(w.rows));
    }
  });
}

void unpack_shared(const QuantizedMatrix& w, std::int64_t first, std::int64_t count, float* out) {
  const int threads = threads_for(static_cast<double>(count) * static_cast<double>(w.columns));
  share_ranges(count, threads == 1 ? 1 : 2 * threads, threads,
               [&](std::int64_t from, std::int64_t some) {
                 kernels::dequantize_rows(w, first + from, some, out + from * w.columns);
               });
}

// x [rows, rows of w] times the matrix as it is: a sum over its panels.
void multiply_untransposed(const QuantizedMatrix& w, const float* x, std::int64_t rows,
                           float* out) {
  const std::int64_t height = 2 * rows_of_panel(w);
  const Floats panel = floats(std::min(height, w.rows) * w.columns);
  for (std::int64_t first = 0; first < w.rows; first += height) {
    const std::int64_t count = std::min(height, w.rows - first);
    unpack_shared(w, first, count, panel.get());
    cblas_sgemm(kRowMajor, kNoTranspose, kNoTranspose, blas_size(rows), blas_size(w.columns),
                blas_size(count), 1, x + first, blas_size(w.rows), panel.get(),
                blas_size(w.columns), first == 0 ? 0.0F : 1.0F, out, blas_size(w.columns));
  }
}

void multiply_one(const QuantizedMatrix& w, bool transpose, const float* x, std::int64_t rows,
                  float* out) {
  if (!transpose) return multiply_untransposed(w, x, rows, out);
  return rows < kernels::many_rows() ? multiply_few(w, x, rows, out)
                                     : multiply_many(w, x, rows, out);
}

// Matrix `number` of those that begin with `w`.
QuantizedMatrix chosen(QuantizedMatrix w, std::uint32_t number) {
  const auto skip = [&](const void*& data, std::int64_t bytes) {
    if (data != nullptr) data = static_cast<const std::byte*>(data) + number * bytes;
  };
  const bool is_affine = w.packing == kernels::Packing::kAffine;
  const std::int64_t scale_bytes = w.rows * w.groups() * (is_affine ? size_of(w.scale_type) : 1);
  skip(w.words, w.rows * w.row_bytes());
  skip(w.scales, scale_bytes);
  skip(w.biases, scale_bytes);
  return w;
}

// All rows that are multiplied with one matrix go together, so that it is unpacked once.
void multiply_chosen(const PackedProduct& p, const float* x, float* out) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(p.count));
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return p.right[a] < p.right[b]; });
  const std::int64_t in = p.rows * p.inner(), made = p.rows * p.outer();
  const auto left = [&](std::uint32_t i) { return x + (p.left != nullptr ? p.left[i] : i) * in; };
  Floats together, results;
  for (std::size_t first = 0, last = 0; first < order.size(); first = last) {
    const std::uint32_t number = p.right[order[first]];
    while (last < order.size() && p.right[order[last]] == number) ++last;
    const QuantizedMatrix w = chosen(p.w, number);
    if (last - first == 1) {
      multiply_one(w, p.transpose, left(order[first]), p.rows, out + order[first] * made);
      continue;
    }
    if (!together) {
      together = floats(p.count * in);
      results = floats(p.count * made);
    }
    const auto size = static_cast<std::int64_t>(last - first);
    for (std::int64_t i = 0; i < size; ++i)
      std::copy_n(left(order[first + static_cast<std::size_t>(i)]), in, together.get() + i * in);
    multiply_one(w, p.transpose, together.get(), size * p.rows, results.get());
    for (std::int64_t i = 0; i < size; ++i) {
      std::copy_n(results.get() + i * made, made,
                  out + order[first + static_cast<std::size_t>(i)] * made);
    }
  }
}

}  // namespace

void multiply(const PackedProduct& product) {
  const bool is_chosen = product.right != nullptr;
  Floats x_floats, out_floats;
  const auto* x = static_cast<const float*>(product.x.data);
  if (product.x.type != Float::kF32) {
    const std::int64_t size = product.x_matrices * product.rows * product.inner();
    x_floats = floats(size);
    kernels::widen(product.x.type, static_cast<const std::uint16_t*>(product.x.data), size,
                   x_floats.get());
    x = x_floats.get();
  }
  const std::int64_t out_size = product.count * product.rows * product.outer();
  auto* out = static_cast<float*>(product.out.data);
  if (product.out.type != Float::kF32) {
    out_floats = floats(out_size);
    out = out_floats.get();
  }
  if (is_chosen) {
    multiply_chosen(product, x, out);
  } else {
    multiply_one(product.w, product.transpose, x, product.rows, out);
  }
  if (out_floats) {
    kernels::narrow(out, out_size, product.out.type, static_cast<std::uint16_t*>(product.out.data));
  }
}

void unpack(const QuantizedMatrix& w, const FloatRows& out) {
  if (out.type == Float::kF32) return unpack_shared(w, 0, w.rows, static_cast<float*>(out.data));
  const std::int64_t height = rows_of_panel(w);
  const Floats panel = floats(std::min(height, w.rows) * w.columns);
  for (std::int64_t first = 0; first < w.rows; first += height) {
    const std::int64_t count = std::min(height, w.rows - first);
    kernels::dequantize_rows(w, first, count, panel.get());
    kernels::narrow(panel.get(), count * w.columns, out.type,
                    static_cast<std::uint16_t*>(out.data) + first * w.columns);
  }
}

}  // namespace mlxnx::mlxc
