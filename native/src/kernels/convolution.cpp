#include "kernels/convolution.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/convolution.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/floats-inl.h"

#ifndef MLXNX_KERNELS_CONVOLUTION_ONCE
#define MLXNX_KERNELS_CONVOLUTION_ONCE
namespace mlxnx::kernels {
namespace {

constexpr int kMostRows = 12;

// Sums of products in registers.
struct Tile {
  int rows = 0;   // of numbers, at most `TileShape::rows`
  int lanes = 0;  // that are stored
  const float* numbers[kMostRows];
  const float* vectors = nullptr;
  const ConvolutionSegment* segments = nullptr;
  std::size_t count = 0;  // of segments
  float* out[kMostRows];
  bool adds = false;  // to what is there
};

struct TileShape {
  int lanes = 0;    // of a vector
  int rows = 0;     // of a tile with two vectors
  int vectors = 0;  // of a tile with few rows
};

}  // namespace
}  // namespace mlxnx::kernels
#endif  // once

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// With 32 registers, else with 16.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kTileRows = 12, kFewVectors = 4;
#else
constexpr int kTileRows = 6, kFewVectors = 2;
#endif

template <int kRows, int kVectors>
HWY_NOINLINE void Compute(const Tile& tile) {
  constexpr DF d;
  V sums[kRows][kVectors];
  const float* numbers[kRows];
  MLXNX_UNROLL for (int i = 0; i < kRows; ++i) {
    numbers[i] = tile.numbers[std::min(i, tile.rows - 1)];
    MLXNX_UNROLL for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(d);
  }
  for (std::size_t s = 0; s < tile.count; ++s) {
    const ConvolutionSegment segment = tile.segments[s];
    const float* vectors = tile.vectors + segment.vectors;
    std::int64_t at = segment.numbers;
    for (std::int64_t left = segment.length; left > 0; --left) {
      V v[kVectors];
      MLXNX_UNROLL for (int j = 0; j < kVectors; ++j) v[j] = hn::LoadU(d, vectors + j * kLanes);
      MLXNX_UNROLL for (int i = 0; i < kRows; ++i) {
        const V number = hn::Set(d, numbers[i][at]);
        MLXNX_UNROLL for (int j = 0; j < kVectors; ++j) sums[i][j] =
            hn::MulAdd(number, v[j], sums[i][j]);
      }
      at += segment.number_step;
      vectors += segment.vector_step;
    }
  }
  MLXNX_UNROLL for (int i = 0; i < kRows; ++i) {
    if (i >= tile.rows) continue;
    float* const out = tile.out[i];
    MLXNX_UNROLL for (int j = 0; j < kVectors; ++j) {
      const int left = tile.lanes - j * kLanes;
      if (left >= kLanes) {
        const V sum = tile.adds ? hn::Add(sums[i][j], hn::LoadU(d, out + j * kLanes)) : sums[i][j];
        hn::StoreU(sum, d, out + j * kLanes);
      } else if (left > 0) {
        HWY_ALIGN float values[kLanes];
        hn::Store(sums[i][j], d, values);
        for (int k = 0; k < left; ++k)
          out[j * kLanes + k] = tile.adds ? out[j * kLanes + k] + values[k] : values[k];
      }
    }
  }
}

// As many vectors as hold the lanes: up to two of any rows.
void ComputeTile(const Tile& tile) {
  const bool are_two = tile.lanes > kLanes;
  if (tile.rows > kTileRows / 2)
    return are_two ? Compute<kTileRows, 2>(tile) : Compute<kTileRows, 1>(tile);
  if (tile.rows > 2)
    return are_two ? Compute<kTileRows / 2, 2>(tile) : Compute<kTileRows / 2, 1>(tile);
  are_two ? Compute<2, 2>(tile) : Compute<2, 1>(tile);
}

// kFewVectors vectors of at most six rows, or twice as many of one.
void ComputeFewRows(const Tile& tile) {
  if (tile.rows == 1) return Compute<1, 2 * kFewVectors>(tile);
  if (tile.rows == 2) return Compute<2, kFewVectors>(tile);
  if (tile.rows <= 4) return Compute<4, kFewVectors>(tile);
  Compute<6, kFewVectors>(tile);
}

TileShape ShapeOfTiles() { return {kLanes, kTileRows, kFewVectors}; }

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(ComputeTile);
HWY_EXPORT(ComputeFewRows);
HWY_EXPORT(ShapeOfTiles);

namespace {

constexpr int kMostFewRows = 6;

// Products that are added up before the next outputs: their vectors stay in the cache.
constexpr std::int64_t kChunk = 512;

// What is read behind the last place of the padded input.
constexpr std::int64_t kSlack = 512;

std::unique_ptr<float[]> floats(std::int64_t count) {
  return std::unique_ptr<float[]>(new float[static_cast<std::size_t>(count)]);
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

// An implementation's helper with the class's own types.
struct ConvolutionSteps {
  // One axis of the products of an output: how many, and how far apart in both operands.
  struct Axis {
    std::int64_t size, input_step, kernel_step;
  };

  // The axes of the products from the outermost on; those that go on where an inner one ends are
  // one with it. The longest is the last.
  static std::vector<Axis> products(const ConvolutionPlan& plan) {
    const Convolution& call = plan.call_;
    std::vector<Axis> axes{{call.channels, plan.steps_[1], call.kernel_steps[1]}};
    for (std::size_t i = 0; i < 3; ++i)
      axes.push_back({call.axes[i].kernel, call.axes[i].dilation * plan.steps_[i + 2],
                      call.kernel_steps[i + 2]});
    std::erase_if(axes, [](const Axis& axis) { return axis.size == 1; });
    if (axes.empty()) return {{1, 0, 0}};
    std::stable_sort(axes.begin(), axes.end(),
                     [](const Axis& a, const Axis& b) { return a.input_step > b.input_step; });
    for (std::size_t i = axes.size() - 1; i-- > 0;) {
      const Axis &outer = axes[i], &inner = axes[i + 1];
      if (outer.input_step != inner.size * inner.input_step ||
          outer.kernel_step != inner.size * inner.kernel_step)
        continue;
      axes[i] = {outer.size * inner.size, inner.input_step, inner.kernel_step};
      axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
    const auto longest = std::max_element(
        axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.size <= b.size; });
    std::rotate(longest, longest + 1, axes.end());
    return axes;
  }

  // One axis of the outputs of a filter.
  struct Rows {
    std::int64_t size, input_step, out_step;
  };

  static std::vector<Rows> rows(const ConvolutionPlan& plan) {
    const Convolution& call = plan.call_;
    std::vector<Rows> axes{{call.batch, plan.steps_[0], call.out_steps[0]}};
    for (std::size_t i = 0; i < 3; ++i)
      axes.push_back(
          {call.axes[i].output, call.axes[i].stride * plan.steps_[i + 2], call.out_steps[i + 2]});
    std::erase_if(axes, [](const Rows& axis) { return axis.size == 1; });
    std::stable_sort(axes.begin(), axes.end(),
                     [](const Rows& a, const Rows& b) { return a.input_step > b.input_step; });
    return axes;
  }

  // Whether vectors of places take fewer products than such of filters.
  static bool favours_places(const Convolution& call, const TileShape& shape) {
    for (const ConvolvedAxis& axis : call.axes) {
      if (axis.stride != 1) return false;
    }
    const ConvolvedAxis& last = call.axes[2];
    const std::int64_t width = last.output + (last.kernel - 1) * last.dilation;
    const std::int64_t places = (call.axes[1].output - 1) * width + last.output;
    const std::int64_t tile = shape.lanes * shape.vectors * (call.filters == 1 ? 2 : 1);
    const double of_places = static_cast<double>(call.filters * ceil_div(places, tile) * tile);
    const double of_filters = static_cast<double>(ceil_div(call.filters, shape.lanes) *
                                                  shape.lanes * call.axes[1].output * last.output);
    return call.filters < shape.lanes && of_places < 0.8 * of_filters;
  }
};

ConvolutionPlan::ConvolutionPlan(const Convolution& call, int threads) : call_(call) {
  const TileShape shape = HWY_DYNAMIC_DISPATCH(ShapeOfTiles)();
  holds_filters_ = !ConvolutionSteps::favours_places(call, shape);
  // The padded input.
  bool has_zeros = false;
  std::array<std::int64_t, 5> inputs{call.batch, call.channels};
  for (std::size_t i = 0; i < 5; ++i) {
    if (i >= 2) {
      const ConvolvedAxis& axis = call.axes[i - 2];
      inputs[i] = axis.input;
      sizes_[i] = (axis.output - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
      begins_[i] = std::max<std::int64_t>(0, -axis.low);
      lows_[i] = std::max<std::int64_t>(0, axis.low);
    } else {
      sizes_[i] = inputs[i];
    }
    lows_[i] = std::min(lows_[i], sizes_[i]);
    counts_[i] = std::clamp<std::int64_t>(inputs[i] - begins_[i], 0, sizes_[i] - lows_[i]);
    has_zeros |= counts_[i] != sizes_[i];
  }
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  if (holds_filters_) {
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      if (sizes_[a] == 1 || sizes_[b] == 1) return sizes_[a] == 1 && sizes_[b] != 1;
      return std::abs(call.input_steps[a]) > std::abs(call.input_steps[b]);
    });
  }
  is_copied_ = has_zeros || !holds_filters_;
  if (is_copied_) {
    std::int64_t step = 1;
    for (std::size_t level = 5; level-- > 0;) {
      steps_[order_[level]] = step;
      step *= sizes_[order_[level]];
    }
    padded_memory_ = floats(step + kSlack);
    std::fill_n(padded_memory_.get() + step, kSlack, 0.0F);
    padded_ = padded_memory_.get();
    while (split_ < 2 && sizes_[order_[split_]] == 1) ++split_;
    input_copies_ = sizes_[order_[split_]] * sizes_[order_[split_ + 1]];
  } else {
    steps_ = call.input_steps;
    padded_ = call.input;
    for (std::size_t i = 0; i < 5; ++i) padded_ += begins_[i] * steps_[i];
  }

  rows_ = call.batch;
  for (const ConvolvedAxis& axis : call.axes) rows_ *= axis.output;
  products_ = call.channels;
  for (const ConvolvedAxis& axis : call.axes) products_ *= axis.kernel;
  width_ = 2 * shape.lanes;
  // Vectors that lie in the kernel already are worth a copy where many rows use them.
  constexpr std::int64_t kManyRows = 4096;
  is_packed_ = !holds_filters_ || call.kernel_steps[0] != 1 || call.filters % shape.lanes != 0 ||
               rows_ >= kManyRows;
  order_products();
  const auto chunks = static_cast<std::int64_t>(chunks_.size()) - 1;
  if (holds_filters_) {
    const std::int64_t blocks = ceil_div(call.filters, width_);
    if (is_packed_) packed_memory_ = floats(blocks * products_ * width_);
    copies_ = input_copies_ + (is_packed_ ? blocks * chunks : 0);
    constexpr std::int64_t kMostTiles = 16;
    const std::int64_t tiles = ceil_div(rows_, shape.rows);
    rows_of_part_ = std::clamp<std::int64_t>(tiles / (4 * threads), 1, kMostTiles) * shape.rows;
    parts_ = ceil_div(rows_, rows_of_part_);
  } else {
    packed_memory_ = floats(call.filters * products_);
    copies_ = input_copies_ + 1;
    const std::int64_t places = (call.axes[1].output - 1) * sizes_[4] + call.axes[2].output;
    const std::int64_t tile = shape.lanes * shape.vectors * (call.filters == 1 ? 2 : 1);
    constexpr std::int64_t kMostTiles = 32;
    const std::int64_t planes = call.batch * call.axes[0].output;
    const std::int64_t tiles = ceil_div(places, tile);
    rows_of_part_ =
        std::clamp<std::int64_t>(tiles * planes / (4 * threads), 1, std::min(tiles, kMostTiles)) *
        tile;
    parts_ = planes * ceil_div(places, rows_of_part_);
  }
}

double ConvolutionPlan::multiplications() const {
  return static_cast<double>(rows_) * static_cast<double>(products_) *
         static_cast<double>(call_.filters);
}

void ConvolutionPlan::order_products() {
  const std::vector<ConvolutionSteps::Axis> axes = ConvolutionSteps::products(*this);
  const ConvolutionSteps::Axis& inner = axes.back();
  const std::int64_t outer = products_ / inner.size;
  std::int64_t k = 0;
  std::int64_t in_chunk = 0;
  chunks_.push_back(0);
  for (std::int64_t i = 0; i < outer; ++i) {
    std::int64_t input = 0, kernel = 0, left = i;
    for (std::size_t axis = axes.size() - 1; axis-- > 0;) {
      input += left % axes[axis].size * axes[axis].input_step;
      kernel += left % axes[axis].size * axes[axis].kernel_step;
      left /= axes[axis].size;
    }
    for (std::int64_t from = 0; from < inner.size; from += kChunk) {
      const std::int64_t length = std::min(kChunk, inner.size - from);
      if (in_chunk > 0 && in_chunk + length > kChunk) {
        chunks_.push_back(segments_.size());
        in_chunk = 0;
      }
      in_chunk += length;
      const std::int64_t at = input + from * inner.input_step;
      const std::int64_t kernel_at = kernel + from * inner.kernel_step;
      kernel_places_.push_back({kernel_at, inner.kernel_step});
      if (!holds_filters_) {
        segments_.push_back({k, 1, at, inner.input_step, length});
      } else if (is_packed_) {
        segments_.push_back({at, inner.input_step, k * width_, width_, length});
      } else {
        segments_.push_back({at, inner.input_step, kernel_at, inner.kernel_step, length});
      }
      k += length;
    }
  }
  chunks_.push_back(segments_.size());
}

void ConvolutionPlan::copy(std::int64_t part) const {
  if (part >= input_copies_) return pack(part - input_copies_);
  // One place of the two outermost axes; those outside of them have one each.
  const std::size_t outer = order_[split_], inner = order_[split_ + 1];
  const std::int64_t i = part / sizes_[inner], j = part % sizes_[inner];
  float* const to = padded_memory_.get() + i * steps_[outer] + j * steps_[inner];
  const bool is_empty = std::any_of(counts_.begin(), counts_.end(), [](auto n) { return n == 0; });
  const std::int64_t from_i = i - lows_[outer], from_j = j - lows_[inner];
  if (is_empty || from_i < 0 || from_i >= counts_[outer] || from_j < 0 ||
      from_j >= counts_[inner]) {
    std::fill_n(to, steps_[inner], 0.0F);
    return;
  }
  const float* from = call_.input;
  for (std::size_t axis = 0; axis < 5; ++axis) from += begins_[axis] * call_.input_steps[axis];
  fill(split_ + 2, to,
       from + from_i * call_.input_steps[outer] + from_j * call_.input_steps[inner]);
}

void ConvolutionPlan::fill(std::size_t level, float* to, const float* from) const {
  const std::size_t axis = order_[level];
  const std::int64_t step = steps_[axis], from_step = call_.input_steps[axis];
  const std::int64_t count = counts_[axis];
  std::fill_n(to, lows_[axis] * step, 0.0F);
  to += lows_[axis] * step;
  // Whether what is inside lies in the input as it is wanted.
  bool is_same = from_step == step;
  for (std::size_t i = level + 1; i < 5; ++i) {
    const std::size_t inside = order_[i];
    is_same &= counts_[inside] == sizes_[inside] &&
               (sizes_[inside] == 1 || call_.input_steps[inside] == steps_[inside]);
  }
  if (is_same) {
    std::copy_n(from, count * step, to);
  } else if (level == 4) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * from_step];
  } else {
    for (std::int64_t i = 0; i < count; ++i) fill(level + 1, to + i * step, from + i * from_step);
  }
  std::fill_n(to + count * step, (sizes_[axis] - lows_[axis] - count) * step, 0.0F);
}

void ConvolutionPlan::pack(std::int64_t block) const {
  const std::int64_t filter_step = call_.kernel_steps[0];
  if (!holds_filters_) {
    for (std::int64_t filter = 0; filter < call_.filters; ++filter) {
      float* to = packed_memory_.get() + filter * products_;
      for (std::size_t s = 0; s < segments_.size(); ++s) {
        const auto [at, step] = kernel_places_[s];
        const float* const from = call_.kernel + filter * filter_step + at;
        for (std::int64_t i = 0; i < segments_[s].length; ++i) *to++ = from[i * step];
      }
    }
    return;
  }
  const std::int64_t blocks = ceil_div(call_.filters, width_);
  const std::int64_t first = block % blocks * width_;
  const std::int64_t count = std::min(width_, call_.filters - first);
  const auto chunk = static_cast<std::size_t>(block / blocks);
  for (std::size_t s = chunks_[chunk]; s < chunks_[chunk + 1]; ++s) {
    float* const to =
        packed_memory_.get() + block % blocks * products_ * width_ + segments_[s].vectors;
    const auto [at, step] = kernel_places_[s];
    const float* const from = call_.kernel + first * filter_step + at;
    for (std::int64_t i = 0; i < segments_[s].length; ++i) {
      float* const row = to + i * width_;
      for (std::int64_t filter = 0; filter < count; ++filter)
        row[filter] = from[i * step + filter * filter_step];
      std::fill(row + count, row + width_, 0.0F);
    }
  }
}

void ConvolutionPlan::compute(std::int64_t part) const {
  holds_filters_ ? compute_filters(part) : compute_places(part);
}

void ConvolutionPlan::compute_filters(std::int64_t part) const {
  const TileShape shape = HWY_DYNAMIC_DISPATCH(ShapeOfTiles)();
  const std::int64_t first = part * rows_of_part_;
  const std::int64_t count = std::min(rows_of_part_, rows_ - first);
  const std::vector<ConvolutionSteps::Rows> axes = ConvolutionSteps::rows(*this);
  std::vector<std::int64_t> inputs(static_cast<std::size_t>(count)), outs(inputs.size());
  for (std::int64_t row = 0; row < count; ++row) {
    std::int64_t left = first + row, input = 0, out = 0;
    for (std::size_t i = axes.size(); i-- > 0;) {
      const std::int64_t at = left % axes[i].size;
      left /= axes[i].size;
      input += at * axes[i].input_step;
      out += at * axes[i].out_step;
    }
    inputs[static_cast<std::size_t>(row)] = input;
    outs[static_cast<std::size_t>(row)] = out;
  }
  // Where filters are no neighbours in the result, they are put apart at the end.
  const bool is_direct = call_.out_steps[1] == 1;
  const std::int64_t width = call_.filters;
  const std::unique_ptr<float[]> memory = is_direct ? nullptr : floats(count * width);
  for (std::size_t chunk = 0; chunk + 1 < chunks_.size(); ++chunk) {
    Tile tile;
    tile.adds = chunk > 0;
    tile.segments = segments_.data() + chunks_[chunk];
    tile.count = chunks_[chunk + 1] - chunks_[chunk];
    for (std::int64_t filter = 0; filter < call_.filters; filter += width_) {
      tile.lanes = static_cast<int>(std::min(width_, call_.filters - filter));
      tile.vectors = is_packed_ ? packed_memory_.get() + filter * products_ : call_.kernel + filter;
      for (std::int64_t row = 0; row < count; row += shape.rows) {
        tile.rows = static_cast<int>(std::min<std::int64_t>(shape.rows, count - row));
        for (int i = 0; i < tile.rows; ++i) {
          const auto at = static_cast<std::size_t>(row + i);
          tile.numbers[i] = padded_ + inputs[at];
          tile.out[i] =
              is_direct ? call_.out + outs[at] + filter : memory.get() + (row + i) * width + filter;
        }
        HWY_DYNAMIC_DISPATCH(ComputeTile)(tile);
      }
    }
  }
  if (is_direct) return;
  // As many at a time as lie in one line of the cache.
  constexpr std::int64_t kSide = 16;
  for (std::int64_t filter = 0; filter < width; filter += kSide) {
    const std::int64_t side = std::min(kSide, width - filter);
    for (std::int64_t row = 0; row < count; ++row) {
      const float* const sums = memory.get() + row * width + filter;
      float* const out =
          call_.out + outs[static_cast<std::size_t>(row)] + filter * call_.out_steps[1];
      for (std::int64_t i = 0; i < side; ++i) out[i * call_.out_steps[1]] = sums[i];
    }
  }
}

void ConvolutionPlan::compute_places(std::int64_t part) const {
  const TileShape shape = HWY_DYNAMIC_DISPATCH(ShapeOfTiles)();
  const std::int64_t width = sizes_[4], out_width = call_.axes[2].output;
  const std::int64_t places = (call_.axes[1].output - 1) * width + out_width;
  const std::int64_t parts_of_plane = ceil_div(places, rows_of_part_);
  const std::int64_t plane = part / parts_of_plane;
  const std::int64_t n = plane / call_.axes[0].output, z = plane % call_.axes[0].output;
  const std::int64_t first = part % parts_of_plane * rows_of_part_;
  const std::int64_t count = std::min(rows_of_part_, places - first);
  const float* const input = padded_ + n * steps_[0] + z * steps_[2] + first;
  const std::int64_t lanes = shape.lanes * shape.vectors * (call_.filters == 1 ? 2 : 1);
  const std::unique_ptr<float[]> memory = floats(call_.filters * rows_of_part_);
  for (std::size_t chunk = 0; chunk + 1 < chunks_.size(); ++chunk) {
    Tile tile;
    tile.adds = chunk > 0;
    tile.segments = segments_.data() + chunks_[chunk];
    tile.count = chunks_[chunk + 1] - chunks_[chunk];
    for (std::int64_t place = 0; place < count; place += lanes) {
      tile.vectors = input + place;
      for (std::int64_t filter = 0; filter < call_.filters; filter += kMostFewRows) {
        tile.rows = static_cast<int>(std::min<std::int64_t>(kMostFewRows, call_.filters - filter));
        tile.lanes = static_cast<int>(std::min(lanes, count - place));
        for (int i = 0; i < tile.rows; ++i) {
          tile.numbers[i] = packed_memory_.get() + (filter + i) * products_;
          tile.out[i] = memory.get() + (filter + i) * rows_of_part_ + place;
        }
        HWY_DYNAMIC_DISPATCH(ComputeFewRows)(tile);
      }
    }
  }
  float* const out = call_.out + n * call_.out_steps[0] + z * call_.out_steps[2];
  for (std::int64_t row = first / width; row * width < first + count; ++row) {
    const std::int64_t from = std::max<std::int64_t>(0, first - row * width);
    const std::int64_t to = std::min(out_width, first + count - row * width);
    for (std::int64_t filter = 0; filter < call_.filters; ++filter) {
      const float* const sums = memory.get() + filter * rows_of_part_ + row * width - first;
      float* const line = out + filter * call_.out_steps[1] + row * call_.out_steps[3];
      const std::int64_t step = call_.out_steps[4];
      for (std::int64_t x = from; x < to; ++x) line[x * step] = sums[x];
    }
  }
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
