#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/elementary-inl.h"

#ifndef MLXNX_ATTENTION_PARTS
#define MLXNX_ATTENTION_PARTS
namespace mlxnx::kernels {
// Rows of queries that go over the keys together, and keys that they see at a time.
constexpr std::int64_t kRowsOfPart = 32;
constexpr std::int64_t kKeysOfTile = 64;

inline std::int64_t rows_of_head(const Attention& a) { return a.heads / a.kv_heads * a.queries; }
inline std::int64_t parts_of_head(const Attention& a) {
  return (rows_of_head(a) + kRowsOfPart - 1) / kRowsOfPart;
}
}  // namespace mlxnx::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// Row sizes in memory of our own are whole vectors, with zeros behind the numbers.
constexpr std::int64_t Padded(std::int64_t size) { return (size + kLanes - 1) / kLanes * kLanes; }

// A row of numbers as f32 at `to`.
void CopyRow(const HeadRows& rows, std::int64_t at, std::int64_t size, float* to) {
  const auto* const floats = static_cast<const float*>(rows.data) + at;
  const auto* const halves = static_cast<const std::uint16_t*>(rows.data) + at;
  if (rows.step == 1) {
    if (rows.type == Float::kF32) {
      std::copy_n(floats, size, to);
    } else {
      Widen(rows.type, halves, size, to);
    }
    return;
  }
  for (std::int64_t i = 0; i < size; ++i) {
    if (rows.type == Float::kF32) {
      to[i] = floats[i * rows.step];
    } else {
      Widen(rows.type, halves + i * rows.step, 1, to + i);
    }
  }
}

// Rows of queries of one head of keys, and what they have come to.
class Part {
 public:
  Part(const Attention& a, std::int64_t batch, std::int64_t kv_head, std::int64_t first)
      : a_(a),
        batch_(batch),
        kv_head_(kv_head),
        first_(first),
        count_(std::min(kRowsOfPart, rows_of_head(a) - first)),
        size_(Padded(a.size)),
        value_size_(Padded(a.value_size)) {
    const std::int64_t rows = (count_ + 3) / 4 * 4;
    const std::int64_t numbers = rows * (size_ + value_size_ + kKeysOfTile + 2) +
                                 kKeysOfTile * (size_ + value_size_) + size_ * kKeysOfTile;
    memory_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(numbers));
    float* next = memory_.get();
    const auto take = [&next](std::int64_t count) { return std::exchange(next, next + count); };
    queries_ = take(rows * size_);
    sums_ = take(rows * value_size_);
    shares_ = take(rows * kKeysOfTile);
    largest_ = take(rows);
    totals_ = take(rows);
    key_tile_ = take(kKeysOfTile * size_);
    value_tile_ = take(kKeysOfTile * value_size_);
    turned_ = take(size_ * kKeysOfTile);
    std::fill_n(queries_, rows * size_, 0.0F);
    std::fill_n(sums_, rows * value_size_, 0.0F);
    std::fill_n(shares_, rows * kKeysOfTile, 0.0F);
    if (Padded(a.size) != a.size) std::fill_n(key_tile_, kKeysOfTile * size_, 0.0F);
    if (Padded(a.value_size) != a.value_size)
      std::fill_n(value_tile_, kKeysOfTile * value_size_, 0.0F);
    for (std::int64_t row = 0; row < count_; ++row) ReadQuery(row);
  }

  void Run() {
    const std::int64_t keys = a_.causal ? LastSeen() : a_.keys;
    for (std::int64_t from = 0; from < keys; from += kKeysOfTile) {
      const std::int64_t count = std::min(kKeysOfTile, keys - from);
      const Tile k = TileOf(a_.k, from, count, a_.size, size_, key_tile_);
      // Few rows gain less than it costs to turn the tile.
      if (count_ < 8) {
        MultiplyRows(k, count);
      } else {
        MultiplyTurned(k, count);
      }
      for (std::int64_t row = 0; row < count_; ++row) WeighRow(row, from, count);
      AddValues(TileOf(a_.v, from, count, a_.value_size, value_size_, value_tile_), count);
    }
    for (std::int64_t row = 0; row < count_; ++row) WriteRow(row);
  }

 private:
  struct Tile {
    const float* data;
    std::int64_t step;
  };

  std::int64_t Head(std::int64_t row) const {
    return kv_head_ * (a_.heads / a_.kv_heads) + (first_ + row) / a_.queries;
  }
  std::int64_t Query(std::int64_t row) const { return (first_ + row) % a_.queries; }

  void ReadQuery(std::int64_t row) {
    float* const to = queries_ + row * size_;
    CopyRow(a_.q,
            batch_ * a_.q.batch_step + Head(row) * a_.q.head_step + Query(row) * a_.q.row_step,
            a_.size, to);
    for (std::int64_t i = 0; i < a_.size; ++i) to[i] *= a_.scale;
    // A sink is there before the first key.
    const bool has_sink = a_.sinks != nullptr;
    largest_[row] =
        has_sink ? a_.sinks[Head(row) * a_.sink_step] : -std::numeric_limits<float>::infinity();
    totals_[row] = has_sink ? 1.0F : 0.0F;
  }

  // The keys that the rows see, counted from the first.
  std::int64_t LastSeen() const {
    const std::int64_t last = Query(0) + count_ > a_.queries ? a_.queries - 1 : Query(count_ - 1);
    return a_.keys - a_.queries + last + 1;
  }

  // Rows where they are, or a copy of them.
  Tile TileOf(const HeadRows& rows, std::int64_t from, std::int64_t count, std::int64_t size,
              std::int64_t padded, float* copy) const {
    const std::int64_t at =
        batch_ * rows.batch_step + kv_head_ * rows.head_step + from * rows.row_step;
    if (rows.type == Float::kF32 && rows.step == 1 && padded == size)
      return {static_cast<const float*>(rows.data) + at, rows.row_step};
    for (std::int64_t i = 0; i < count; ++i)
      CopyRow(rows, at + i * rows.row_step, size, copy + i * padded);
    return {copy, padded};
  }

  // Products of all rows with one key after the other.
  void MultiplyRows(const Tile& k, std::int64_t count) {
    constexpr DF df;
    for (std::int64_t key = 0; key < count; ++key) {
      const float* const y = k.data + key * k.step;
      for (std::int64_t row = 0; row < count_; row += 4) {
        const float* const x = queries_ + row * size_;
        V a = hn::Zero(df), b = hn::Zero(df), c = hn::Zero(df), d = hn::Zero(df);
        for (std::int64_t i = 0; i < size_; i += kLanes) {
          const V number = hn::LoadU(df, y + i);
          a = hn::MulAdd(hn::LoadU(df, x + i), number, a);
          b = hn::MulAdd(hn::LoadU(df, x + size_ + i), number, b);
          c = hn::MulAdd(hn::LoadU(df, x + 2 * size_ + i), number, c);
          d = hn::MulAdd(hn::LoadU(df, x + 3 * size_ + i), number, d);
        }
        float* const to = shares_ + row * kKeysOfTile + key;
        to[0] = hn::GetLane(hn::SumOfLanes(df, a));
        if (row + 1 < count_) to[kKeysOfTile] = hn::GetLane(hn::SumOfLanes(df, b));
        if (row + 2 < count_) to[2 * kKeysOfTile] = hn::GetLane(hn::SumOfLanes(df, c));
        if (row + 3 < count_) to[3 * kKeysOfTile] = hn::GetLane(hn::SumOfLanes(df, d));
      }
    }
  }

  // Sums over `inner` of numbers of `x` times rows of `y`, for four rows of x at a time, added to
  // `out`.
  static void Multiply(const float* x, std::int64_t x_step, std::int64_t rows, const float* y,
                       std::int64_t y_step, std::int64_t inner, std::int64_t columns, float* out,
                       std::int64_t out_step) {
    constexpr DF df;
    for (std::int64_t row = 0; row < rows; row += 4, x += 4 * x_step, out += 4 * out_step) {
      std::int64_t column = 0;
      for (; column + 2 * kLanes <= columns; column += 2 * kLanes) {
        V sums[4][2];
        MLXNX_UNROLL for (int r = 0; r < 4; ++r) {
          MLXNX_UNROLL for (int k = 0; k < 2; ++k) sums[r][k] =
              hn::LoadU(df, out + r * out_step + column + k * kLanes);
        }
        for (std::int64_t i = 0; i < inner; ++i) {
          const V left = hn::LoadU(df, y + i * y_step + column);
          const V right = hn::LoadU(df, y + i * y_step + column + kLanes);
          MLXNX_UNROLL for (int r = 0; r < 4; ++r) {
            const V factor = hn::Set(df, x[r * x_step + i]);
            sums[r][0] = hn::MulAdd(factor, left, sums[r][0]);
            sums[r][1] = hn::MulAdd(factor, right, sums[r][1]);
          }
        }
        MLXNX_UNROLL for (int r = 0; r < 4; ++r) {
          MLXNX_UNROLL for (int k = 0; k < 2; ++k)
              hn::StoreU(sums[r][k], df, out + r * out_step + column + k * kLanes);
        }
      }
      for (; column < columns; column += kLanes) {
        V sums[4];
        MLXNX_UNROLL for (int r = 0; r < 4; ++r) sums[r] =
            hn::LoadU(df, out + r * out_step + column);
        for (std::int64_t i = 0; i < inner; ++i) {
          const V numbers = hn::LoadU(df, y + i * y_step + column);
          MLXNX_UNROLL for (int r = 0; r < 4; ++r) sums[r] =
              hn::MulAdd(hn::Set(df, x[r * x_step + i]), numbers, sums[r]);
        }
        MLXNX_UNROLL for (int r = 0; r < 4; ++r)
            hn::StoreU(sums[r], df, out + r * out_step + column);
      }
    }
  }

  void MultiplyTurned(const Tile& k, std::int64_t count) {
    for (std::int64_t key = 0; key < count; ++key) {
      const float* const from = k.data + key * k.step;
      for (std::int64_t i = 0; i < a_.size; ++i) turned_[i * kKeysOfTile + key] = from[i];
    }
    if (count < kKeysOfTile) {
      for (std::int64_t i = 0; i < a_.size; ++i)
        std::fill(turned_ + i * kKeysOfTile + count, turned_ + (i + 1) * kKeysOfTile, 0.0F);
    }
    std::fill_n(shares_, (count_ + 3) / 4 * 4 * kKeysOfTile, 0.0F);
    Multiply(queries_, size_, count_, turned_, kKeysOfTile, a_.size, kKeysOfTile, shares_,
             kKeysOfTile);
  }

  // Those that a row does not see are the lowest number, as a mask of numbers might say.
  void Mask(std::int64_t row, std::int64_t from, std::int64_t count, float* products) const {
    constexpr float kLowest = std::numeric_limits<float>::lowest();
    if (a_.causal) {
      const std::int64_t seen = a_.keys - a_.queries + Query(row) + 1 - from;
      for (std::int64_t i = std::max<std::int64_t>(seen, 0); i < count; ++i) products[i] = kLowest;
      return;
    }
    const AttentionMask& mask = a_.mask;
    if (mask.kind == AttentionMask::Kind::kNone) return;
    const std::int64_t at = batch_ * mask.batch_step + Head(row) * mask.head_step +
                            Query(row) * mask.query_step + from * mask.key_step;
    if (mask.kind == AttentionMask::Kind::kAdded) {
      const auto* const added = static_cast<const float*>(mask.data) + at;
      for (std::int64_t i = 0; i < count; ++i) products[i] += added[i * mask.key_step];
    } else {
      const auto* const seen = static_cast<const std::uint8_t*>(mask.data) + at;
      for (std::int64_t i = 0; i < count; ++i) {
        if (seen[i * mask.key_step] == 0) products[i] = kLowest;
      }
    }
  }

  // Products become shares of the total, as far as it is known, and sums so far shrink to theirs.
  void WeighRow(std::int64_t row, std::int64_t from, std::int64_t count) {
    constexpr DF df;
    float* const products = shares_ + row * kKeysOfTile;
    Mask(row, from, count, products);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const std::int64_t whole = Padded(count);
    std::fill(products + count, products + whole, -kInfinity);
    V most = hn::Set(df, -kInfinity);
    for (std::int64_t i = 0; i < whole; i += kLanes)
      most = hn::Max(most, hn::LoadU(df, products + i));
    const float before = largest_[row];
    const float largest = std::max(before, hn::GetLane(hn::MaxOfLanes(df, most)));
    // Where nothing is above minus infinity there is nothing to subtract either.
    const V base = hn::Set(df, largest == -kInfinity ? 0.0F : largest);
    V total = hn::Zero(df);
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      const V share = Exp(hn::Sub(hn::LoadU(df, products + i), base));
      hn::StoreU(share, df, products + i);
      total = hn::Add(total, share);
    }
    const float shrink = before == largest ? 1.0F : std::exp(before - hn::GetLane(base));
    largest_[row] = largest;
    totals_[row] = totals_[row] * shrink + hn::GetLane(hn::SumOfLanes(df, total));
    if (shrink == 1.0F) return;
    float* const sums = sums_ + row * value_size_;
    for (std::int64_t i = 0; i < value_size_; i += kLanes)
      hn::StoreU(hn::Mul(hn::LoadU(df, sums + i), hn::Set(df, shrink)), df, sums + i);
  }

  void AddValues(const Tile& v, std::int64_t count) {
    Multiply(shares_, kKeysOfTile, count_, v.data, v.step, count, value_size_, sums_, value_size_);
  }

  void WriteRow(std::int64_t row) {
    float* const sums = sums_ + row * value_size_;
    for (std::int64_t i = 0; i < a_.value_size; ++i) sums[i] /= totals_[row];
    const std::int64_t at =
        ((batch_ * a_.heads + Head(row)) * a_.queries + Query(row)) * a_.value_size;
    if (a_.out_type == Float::kF32) {
      std::copy_n(sums, a_.value_size, static_cast<float*>(a_.out) + at);
    } else {
      narrow(sums, a_.value_size, a_.out_type, static_cast<std::uint16_t*>(a_.out) + at);
    }
  }

  const Attention& a_;
  const std::int64_t batch_, kv_head_, first_, count_, size_, value_size_;
  std::unique_ptr<float[]> memory_;
  float *queries_, *sums_, *shares_, *largest_, *totals_, *key_tile_, *value_tile_, *turned_;
};

void Attend(const Attention& a, std::int64_t part) {
  const std::int64_t parts = parts_of_head(a);
  const std::int64_t head = part / parts;
  Part(a, head / a.kv_heads, head % a.kv_heads, part % parts * kRowsOfPart).Run();
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(Attend);

std::int64_t attention_parts(const Attention& call) {
  return call.batch * call.kv_heads * parts_of_head(call);
}

void attend(const Attention& call, std::int64_t part) { HWY_DYNAMIC_DISPATCH(Attend)(call, part); }

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
