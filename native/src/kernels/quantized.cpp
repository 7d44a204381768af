#include "kernels/quantized.h"

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "hwy/cache_control.h"
#include "kernels/unpack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// The next scales of rows, and their biases.
template <typename Unpacker, int kRows>
struct RowScales {
  ScaleTile<kRows> scales, biases;

  // Groups [first, first + count) of each.
  HWY_INLINE void Read(const QuantizedMatrix& w, std::int64_t row, std::int64_t first, int count) {
    const std::int64_t groups = w.groups(), at = row * groups + first;
    if constexpr (Unpacker::kHasBias) {
      scales.ReadFloats(w.scale_type, w.scales, at, groups, count);
      biases.ReadFloats(w.scale_type, w.biases, at, groups, count);
    } else {
      scales.ReadBytes(w, at, count);
    }
  }
  HWY_INLINE typename Unpacker::Group Group(int row, int group) const {
    return {scales.first + row * scales.step + group, biases.first + row * biases.step + group};
  }
};

template <typename Unpacker>
int ChunksOfStep(const QuantizedMatrix& w) {
  return Unpacker::kScales == 2 ? 1 : w.group_size / kChunk;
}

template <typename Unpacker>
ChunkReader<Unpacker> ReaderOf(const QuantizedMatrix& w, std::int64_t row) {
  const auto* const words = static_cast<const std::uint8_t*>(w.words);
  // Of nvfp4 the last chunk of a row may be half of one; the others may read on into the next row.
  const std::int64_t rows = Unpacker::kOverread ? w.rows : row + 1;
  return {words + rows * w.row_bytes(), {}};
}

// kX rows of x times kW rows of the matrix, from `row` on. All loops of a known length have to be
// unrolled: sums stay in registers only then.
template <typename Unpacker, int kX, int kW>
HWY_NOINLINE void DotTile(const QuantizedMatrix& w, const float* x, std::int64_t x_size,
                          std::int64_t row, float* out, std::int64_t out_size) {
  using Group = typename Unpacker::Group;
  constexpr int kSums = kX == 1 ? 2 : 1;  // enough to keep multipliers busy
  constexpr int kBytes = ChunkReader<Unpacker>::kBytes;
  constexpr DF df;
  V sums[kW][kX][kSums];
  MLXNX_UNROLL for (int r = 0; r < kW; ++r) {
    MLXNX_UNROLL for (int i = 0; i < kX; ++i) {
      MLXNX_UNROLL for (int k = 0; k < kSums; ++k) sums[r][i][k] = hn::Zero(df);
    }
  }
  RowScales<Unpacker, kW> scales;
  ChunkReader<Unpacker> readers[kW];
  for (int r = 0; r < kW; ++r) readers[r].end = ReaderOf<Unpacker>(w, row + r).end;
  const std::int64_t row_bytes = w.row_bytes(), groups = w.groups();
  const auto* words = static_cast<const std::uint8_t*>(w.words) + row * row_bytes;
  const int chunks = ChunksOfStep<Unpacker>(w);
  for (std::int64_t first = 0; first < groups; first += kTile) {
    const int count = static_cast<int>(std::min<std::int64_t>(kTile, groups - first));
    scales.Read(w, row, first, count);
    for (int g = 0; g < count; g += Unpacker::kScales) {
      Group group[kW];
      MLXNX_UNROLL for (int r = 0; r < kW; ++r) group[r] = scales.Group(r, g);
      for (int c = 0; c < chunks; ++c, words += kBytes, x += kChunk) {
        MLXNX_UNROLL for (int r = 0; r < kW; ++r) {
          const auto* const from = words + r * row_bytes;
          hwy::Prefetch(from + kW * row_bytes);
          V weights[kVectors];
          Unpacker::Unpack(group[r], readers[r].Read(from), weights);
          MLXNX_UNROLL for (int i = 0; i < kX; ++i) {
            MLXNX_UNROLL for (int v = 0; v < kVectors; ++v) {
              V& sum = sums[r][i][v % kSums];
              sum = hn::MulAdd(weights[v], hn::LoadU(df, x + i * x_size + v * kLanes), sum);
            }
          }
        }
      }
    }
  }
  MLXNX_UNROLL for (int r = 0; r < kW; ++r) {
    MLXNX_UNROLL for (int i = 0; i < kX; ++i) {
      V sum = sums[r][i][0];
      if constexpr (kSums == 2) sum = hn::Add(sum, sums[r][i][1]);
      out[i * out_size + r] = hn::GetLane(hn::SumOfLanes(df, sum));
    }
  }
}

// Without vectors nothing is won by tiles, and to compile them unrolled takes longer than all else.
constexpr bool kIsScalar = kLanes == 1;

template <typename Unpacker, int kW>
void DotRows(const QuantizedMatrix& w, const Rows& x, std::int64_t row, float* out,
             std::int64_t out_size) {
  std::int64_t i = 0;
  const float* from = x.data;
  const auto strip = [&](auto* tile, int count) {
    tile(w, from, x.size, row, out, out_size);
    i += count;
    from += count * x.size;
    out += count * out_size;
  };
  if constexpr (!kIsScalar) {
    while (i + 4 <= x.count) strip(&DotTile<Unpacker, 4, kW>, 4);
    if (i + 2 <= x.count) strip(&DotTile<Unpacker, 2, kW>, 2);
  }
  while (i < x.count) strip(&DotTile<Unpacker, 1, kW>, 1);
}

struct Dot {
  const QuantizedMatrix& w;
  const Rows& x;
  std::int64_t first, count;
  float* out;
  std::int64_t out_size;

  template <typename Unpacker>
  void Run() const {
    constexpr int kRows = kIsScalar ? 1 : 4;
    std::int64_t done = 0;
    for (; done + kRows <= count; done += kRows)
      DotRows<Unpacker, kRows>(w, x, first + done, out + done, out_size);
    for (; done < count; ++done) DotRows<Unpacker, 1>(w, x, first + done, out + done, out_size);
  }
};

void QuantizedDot(const QuantizedMatrix& w, const Rows& x, std::int64_t first, std::int64_t count,
                  float* out, std::int64_t out_size) {
  WithUnpacker(w, Dot{w, x, first, count, out, out_size});
}

// By time, against OpenBLAS.
std::int64_t ManyRows() { return kLanes == 16 ? 192 : 14; }

// A chunk's weights in their order.
template <typename Unpacker>
HWY_INLINE void StoreChunk(const V (&weights)[kVectors], float* out) {
  constexpr int kHalf = kVectors / 2;
  if constexpr (Unpacker::kWidth == 4) {
    for (int i = 0; i < kHalf; ++i) {
      float* const to = out + 2 * i * kLanes;
#if HWY_TARGET == HWY_SCALAR
      to[0] = hn::GetLane(weights[i]);
      to[1] = hn::GetLane(weights[kHalf + i]);
#else
      hn::StoreInterleaved2(weights[i], weights[kHalf + i], DF(), to);
#endif
    }
  } else {
    for (int i = 0; i < kVectors; ++i) hn::StoreU(weights[i], DF(), out + i * kLanes);
  }
}

struct Dequantize {
  const QuantizedMatrix& w;
  std::int64_t first, count;
  float* out;

  template <typename Unpacker>
  void Run() const {
    for (std::int64_t i = 0; i < count; ++i) Row<Unpacker>(first + i, out + i * w.columns);
  }
  template <typename Unpacker>
  HWY_NOINLINE void Row(std::int64_t row, float* to) const {
    const float* const end = to + w.columns;
    const auto* words = static_cast<const std::uint8_t*>(w.words) + row * w.row_bytes();
    ChunkReader<Unpacker> reader = ReaderOf<Unpacker>(w, row);
    RowScales<Unpacker, 1> scales;
    const std::int64_t groups = w.groups();
    const int chunks = ChunksOfStep<Unpacker>(w);
    for (std::int64_t from = 0; from < groups; from += kTile) {
      const int tile = static_cast<int>(std::min<std::int64_t>(kTile, groups - from));
      scales.Read(w, row, from, tile);
      for (int g = 0; g < tile; g += Unpacker::kScales) {
        const typename Unpacker::Group group = scales.Group(0, g);
        for (int c = 0; c < chunks; ++c) {
          V weights[kVectors];
          Unpacker::Unpack(group, reader.Read(words), weights);
          words += ChunkReader<Unpacker>::kBytes;
          if (end - to < kChunk) {
            float half[kChunk];
            StoreChunk<Unpacker>(weights, half);
            std::copy_n(half, end - to, to);
          } else {
            StoreChunk<Unpacker>(weights, to);
          }
          to += kChunk;
        }
      }
    }
  }
};

void DequantizeRows(const QuantizedMatrix& w, std::int64_t first, std::int64_t count, float* out) {
  WithUnpacker(w, Dequantize{w, first, count, out});
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(ManyRows);
HWY_EXPORT(QuantizedDot);
HWY_EXPORT(DequantizeRows);

bool are_there() { return true; }

bool takes_arranged(const QuantizedMatrix& w) { return w.bits == 4; }

std::int64_t arranged_size(const QuantizedMatrix& w) { return (w.columns + 31) / 32 * 32; }

// Even places of a chunk, then odd ones; zeros behind the last.
void arrange(const QuantizedMatrix& w, const float* from, std::int64_t count, float* to) {
  constexpr std::int64_t kChunk = 32, kHalf = kChunk / 2;
  for (std::int64_t row = 0; row < count; ++row, from += w.columns) {
    for (std::int64_t done = 0; done < w.columns; done += kChunk, to += kChunk) {
      const std::int64_t pairs = std::min(kChunk, w.columns - done) / 2;
      const float* const chunk = from + done;
      for (std::int64_t i = 0; i < pairs; ++i) {
        to[i] = chunk[2 * i];
        to[kHalf + i] = chunk[2 * i + 1];
      }
      for (std::int64_t i = pairs; i < kHalf; ++i) to[i] = to[kHalf + i] = 0;
    }
  }
}

std::int64_t many_rows() { return HWY_DYNAMIC_DISPATCH(ManyRows)(); }

void quantized_dot(const QuantizedMatrix& w, const Rows& x, std::int64_t first, std::int64_t count,
                   float* out, std::int64_t out_size) {
  HWY_DYNAMIC_DISPATCH(QuantizedDot)(w, x, first, count, out, out_size);
}

void dequantize_rows(const QuantizedMatrix& w, std::int64_t first, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(DequantizeRows)(w, first, count, out);
}

std::vector<std::string> kinds_of_vectors() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets())
    names.emplace_back(hwy::TargetName(target));
  return names;
}

void use_vectors(const std::string& kind) {
  hwy::SetSupportedTargetsForTest(0);
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (hwy::TargetName(target) == kind) hwy::SetSupportedTargetsForTest(target);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
