// How programs of functions run: what holds for every kind of vectors.
#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "kernels/chain.h"
#include "kernels/elementwise.h"
#include "kernels/floats.h"
#include "mlxnx/inline_vector.h"

namespace mlxnx::kernels {
namespace {

// Functions whose kernels go element by element, and those that are many multiplications.
double cost_of(Function function, Type type) {
  using enum Function;
  switch (function) {
    case k_erf:
    case k_exp:
    case k_expm1:
    case k_log:
    case k_log1p:
    case k_sigmoid:
    case k_tanh:
    case k_cos:
    case k_sin:
      return type == Type::kF64 ? 20 : 6;
    case k_arccos:
    case k_arccosh:
    case k_arcsin:
    case k_arcsinh:
    case k_arctan:
    case k_arctan2:
    case k_arctanh:
    case k_cbrt:
    case k_cosh:
    case k_erfc:
    case k_log2:
    case k_power:
    case k_remainder:
    case k_floor_divide:
    case k_sinh:
    case k_tan:
      return 30;
    default:
      return 1;
  }
}

// What a value is in a tile.
Type held(Type type) { return is_half(type) ? Type::kF32 : type; }

Float float_of(Type type) { return type == Type::kF16 ? Float::kF16 : Float::kBf16; }

// Of f32, to what halves hold.
void round_to(Type type, float* numbers, std::uint16_t* space, std::size_t count) {
  narrow(numbers, static_cast<std::int64_t>(count), float_of(type), space);
  widen(float_of(type), space, static_cast<std::int64_t>(count), numbers);
}

template <typename T>
void gather(const void* from, std::int64_t stride, std::size_t count, void* to) {
  const T* source = static_cast<const T*>(from);
  T* out = static_cast<T*>(to);
  if (stride == 0) {
    std::fill_n(out, count, *source);
  } else if (stride == 1) {
    std::memcpy(to, from, count * sizeof(T));
  } else {
    for (std::size_t i = 0; i < count; ++i, source += stride) out[i] = *source;
  }
}

void gather(std::size_t size, const void* from, std::int64_t stride, std::size_t count, void* to) {
  switch (size) {
    case 1:
      return gather<std::uint8_t>(from, stride, count, to);
    case 2:
      return gather<std::uint16_t>(from, stride, count, to);
    case 4:
      return gather<std::uint32_t>(from, stride, count, to);
    default:
      return gather<std::uint64_t>(from, stride, count, to);
  }
}

// The axes of the results with as many of them made one as all inputs' strides allow.
struct Axes {
  InlineVector<std::int64_t, 8> dims;
  InlineVector<std::int64_t, 32> strides;  // of all inputs along the first axis, and so on
  std::size_t inputs;

  Axes(std::span<const std::int64_t> shape, std::span<const ProgramInput> given)
      : inputs(given.size()) {
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] == 1) continue;
      bool joins = !dims.empty();
      for (std::size_t i = 0; joins && i < inputs; ++i)
        joins = stride(i, dims.size() - 1) == given[i].strides[axis] * shape[axis];
      if (joins) {
        dims.back() *= shape[axis];
        strides.resize(strides.size() - inputs);
      } else {
        dims.push_back(shape[axis]);
      }
      for (const ProgramInput& input : given) strides.push_back(input.strides[axis]);
    }
    if (!dims.empty()) return;
    dims.push_back(1);
    strides.resize(inputs, 0);
  }

  std::int64_t stride(std::size_t input, std::size_t axis) const {
    return strides[axis * inputs + input];
  }
  // Along the innermost axis.
  std::int64_t step(std::size_t input) const { return stride(input, dims.size() - 1); }

  bool is_flat(std::size_t input) const {
    std::int64_t step = 1;
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      if (stride(input, axis) != step && dims[axis] != 1) return false;
      step *= dims[axis];
    }
    return true;
  }
  bool is_one(std::size_t input) const {
    for (std::size_t axis = 0; axis < dims.size(); ++axis) {
      if (stride(input, axis) != 0) return false;
    }
    return true;
  }

  // Calls piece(offset, count) for the stretches of rows that elements [at, at + count) lie in.
  template <typename Piece>
  void walk(std::size_t input, std::int64_t at, std::int64_t count, Piece piece) const {
    const std::int64_t row = dims.back();
    while (count > 0) {
      std::int64_t left = at, offset = 0;
      for (std::size_t axis = dims.size(); axis-- > 0;) {
        offset += left % dims[axis] * stride(input, axis);
        left /= dims[axis];
      }
      const std::int64_t length = std::min(count, row - at % row);
      piece(offset, length);
      at += length;
      count -= length;
    }
  }
};

// Memory for tiles, kept for the next program of the thread.
std::byte* scratch(std::size_t bytes) {
  constexpr std::size_t kAlign = 64;
  thread_local std::vector<std::byte> memory;
  if (memory.size() < bytes + kAlign) memory.resize(bytes + kAlign);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  return memory.data() + (kAlign - address % kAlign) % kAlign;
}

}  // namespace

bool has_kernel(Function function, Type type) {
  return function == Function::k_cast || kernel_of(function, held(type)) != nullptr;
}

struct TilePlan::Parts {
  struct Call {
    // The second ones are for a single element as the first operand, and so on; some are null.
    std::array<Kernel, 4> kernels{};
    std::array<std::uint16_t, 3> operands{};
    int operand_count = 0;
    std::uint16_t result = 0;
    std::optional<Type> rounds_to = {};  // the half that the result is
  };

  Program program;
  std::vector<Call> calls;
  std::vector<std::size_t> last_use;  // of each input: the number of the step behind the last one
  std::vector<std::uint16_t> buffer;  // of each value
  std::size_t buffers = 0;
  std::size_t width = 1;  // bytes of the widest value in a tile
  double cost = 0;
  std::optional<Chain> chain;

  explicit Parts(Program given) : program(std::move(given)) {
    // One step alone goes faster through all than block by block.
    if (program.steps.size() > 1) chain = Chain::of(program);
    const std::size_t inputs = program.inputs.size();
    const std::size_t values = inputs + program.steps.size();
    std::vector<std::size_t> last(values, 0);
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      const Step& step = program.steps[i];
      for (int k = 0; k < kernels::operand_count(step.function); ++k)
        last[step.operands[static_cast<std::size_t>(k)]] = i + 1;
    }
    last_use.assign(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(inputs));
    for (const std::uint16_t value : program.results) last[value] = program.steps.size() + 1;
    for (std::size_t value = 0; value < values; ++value)
      width = std::max(width, size_of(held(program.type_of(static_cast<std::uint16_t>(value)))));

    buffer.resize(values);
    for (; buffers < inputs; ++buffers) buffer[buffers] = static_cast<std::uint16_t>(buffers);
    std::vector<std::uint16_t> free;
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      const Step& step = program.steps[i];
      const std::size_t value = inputs + i;
      add_call(step, static_cast<std::uint16_t>(value));
      cost += cost_of(step.function, step.type);
      if (free.empty()) free.push_back(static_cast<std::uint16_t>(buffers++));
      buffer[value] = free.back();
      free.pop_back();
      for (std::size_t earlier = inputs; earlier <= value; ++earlier) {
        if (last[earlier] == i + 1 || (last[earlier] == 0 && earlier == value)) {
          free.push_back(buffer[earlier]);
          last[earlier] = values + 1;  // once
        }
      }
    }
  }

  bool may_be_over(std::size_t result, std::size_t input) const {
    const std::size_t value = program.results[result], given = program.inputs.size();
    return value >= given && last_use[input] <= value - given + 1;
  }

  void add_call(const Step& step, std::uint16_t value) {
    Call call;
    call.operands = step.operands;
    call.operand_count = kernels::operand_count(step.function);
    call.result = value;
    const bool is_cast = step.function == Function::k_cast;
    if (is_cast) call.kernels[0] = cast_kernel(held(step.type), held(step.result));
    for (std::size_t i = 0; i < call.kernels.size() && !is_cast; ++i)
      call.kernels[i] = kernel_of(step.function, held(step.type), static_cast<Single>(i));
    if (kernels::is_half(step.result) && step.function != Function::k_select)
      call.rounds_to = step.result;
    calls.push_back(call);
  }
};

TilePlan::TilePlan(Program program) : parts_(std::make_unique<Parts>(std::move(program))) {}
TilePlan::~TilePlan() = default;
TilePlan::TilePlan(TilePlan&&) noexcept = default;

const Program& TilePlan::program() const { return parts_->program; }
double TilePlan::cost() const { return parts_->cost; }
bool TilePlan::may_be_over(std::size_t result, std::size_t input) const {
  return parts_->may_be_over(result, input);
}

// One call of a plan: where its inputs and results lie.
class TilePlan::Run {
 public:
  Run(const Parts& parts, std::span<const std::int64_t> shape, std::span<const ProgramInput> inputs,
      std::span<void* const> results, std::int64_t first, std::int64_t count)
      : parts_(parts),
        program_(parts.program),
        inputs_(inputs),
        results_(results),
        axes_(shape, inputs),
        first_(first),
        end_(first + count),
        ways_(inputs.size()),
        places_(parts.buffer.size()),
        may_be_made_in_place_(results.size()) {
    // Unless an input that is read later lies there.
    for (std::size_t r = 0; r < results.size(); ++r) {
      may_be_made_in_place_[r] = program_.results[r] >= inputs.size();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i].data != results[r]) continue;
        is_over_inputs_ = true;
        if (!parts.may_be_over(r, i)) may_be_made_in_place_[r] = false;
      }
    }
  }

 protected:
  // How an input's elements are read: where they are, as one for all or for a row, or from a copy.
  enum class Way : std::uint8_t { kThere, kOne, kOneARow, kLoaded };
  static constexpr std::int64_t kLongestTile = 1024;

  Type result_type(std::size_t r) const { return program_.type_of(program_.results[r]); }

  std::byte* input_at(std::size_t i, std::int64_t at) const {
    return static_cast<std::byte*>(const_cast<void*>(inputs_[i].data)) +
           at * static_cast<std::int64_t>(size_of(program_.inputs[i]));
  }
  std::byte* result_at(std::size_t r, std::int64_t at) const {
    return static_cast<std::byte*>(results_[r]) +
           at * static_cast<std::int64_t>(size_of(result_type(r)));
  }

  // Calls tile(at, length) for all elements, and for none of two rows where rows end tiles.
  template <typename Tile>
  void for_each_tile(Tile tile) const {
    for (std::int64_t at = first_; at < end_;) {
      std::int64_t length = std::min(tile_, end_ - at);
      if (row_ != 0) length = std::min(length, row_ - at % row_);
      tile(at, length);
      at += length;
    }
  }

  // How inputs are read; those that are to be widened are copied.
  void choose_ways(bool widens_halves) {
    widens_halves_ = widens_halves;
    bool all_in_one_piece = true;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      ways_[i] = axes_.is_flat(i) && !is_widened(i) ? Way::kThere
                 : axes_.is_one(i)                  ? Way::kOne
                                                    : Way::kLoaded;
      all_in_one_piece = all_in_one_piece && (ways_[i] != Way::kLoaded || axes_.is_flat(i));
    }
    // Rows that are long enough are tiles' borders, so that what repeats along rows is read in
    // place.
    constexpr std::int64_t kLongRow = 64;
    if (all_in_one_piece || axes_.dims.back() < kLongRow) return;
    row_ = axes_.dims.back();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (ways_[i] == Way::kLoaded && axes_.step(i) == 0) ways_[i] = Way::kOneARow;
    }
  }

  // Has elements [at, at + length) of an input at `places_`.
  void load(std::size_t i, std::int64_t at, std::int64_t length) {
    const Type type = program_.inputs[i];
    const std::size_t size = size_of(type);
    const bool is_half = is_widened(i);
    std::byte* const place = memory_ + bytes_ * parts_.buffer[i];
    std::byte* to = is_half ? halves_ : place;
    if (!is_half && axes_.step(i) == 1 && at % axes_.dims.back() + length <= axes_.dims.back()) {
      axes_.walk(i, at, length,
                 [&](std::int64_t offset, std::int64_t) { places_[i] = input_at(i, offset); });
      return;
    }
    places_[i] = place;
    axes_.walk(i, at, length, [&](std::int64_t offset, std::int64_t some) {
      gather(size, input_at(i, offset), axes_.step(i), static_cast<std::size_t>(some), to);
      to += static_cast<std::size_t>(some) * size;
    });
    if (is_half)
      widen(float_of(type), reinterpret_cast<const std::uint16_t*>(halves_), length,
            reinterpret_cast<float*>(place));
  }

  const Parts& parts_;
  const Program& program_;
  const std::span<const ProgramInput> inputs_;
  const std::span<void* const> results_;
  const Axes axes_;
  const std::int64_t first_, end_;
  InlineVector<Way, 8> ways_;                   // of each input
  InlineVector<std::byte*, 16> places_;         // of each value in the tile at hand
  InlineVector<bool, 4> may_be_made_in_place_;  // of each result
  bool is_over_inputs_ = false;                 // whether some result is
  std::int64_t row_ = 0;   // the length of rows whose ends are tiles' ends; 0 where none are
  std::int64_t tile_ = 0;  // elements
  std::size_t bytes_ = 0;  // that a tile of an input takes
  std::byte* memory_ = nullptr;
  std::byte* halves_ = nullptr;  // a tile of 16-bit numbers, which nothing else uses

 private:
  bool is_widened(std::size_t i) const {
    return widens_halves_ && kernels::is_half(program_.inputs[i]);
  }

  bool widens_halves_ = false;
};

// Step by step, each through a tile that the cache holds.
class TilePlan::RunOfKernels : public TilePlan::Run {
 public:
  using Run::Run;

  void compute() {
    choose_ways(true);
    // A value that is several results is made where the last one is, and copied.
    const auto& values = program_.results;
    for (std::size_t r = 0; r < values.size(); ++r) {
      const bool is_last = std::find(values.begin() + static_cast<std::ptrdiff_t>(r) + 1,
                                     values.end(), values[r]) == values.end();
      is_made_in_place_.push_back(may_be_made_in_place_[r] && is_last &&
                                  !kernels::is_half(result_type(r)));
    }
    fills_.resize(inputs_.size(), false);
    choose_kernels();
    choose_tile();
    place_buffers();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (ways_[i] == Way::kOne) load(i, 0, fills_[i] ? std::min(tile_, end_ - first_) : 1);
    }
    for_each_tile([this](std::int64_t at, std::int64_t length) {
      place_tile(at, length);
      compute_tile(static_cast<std::size_t>(length));
      store_tile(at, length);
    });
  }

 private:
  // Single elements fill a tile only where some kernel wants that.
  void choose_kernels() {
    for (const Parts::Call& call : parts_.calls) {
      const auto is_one = [&](int k) {
        const std::uint16_t value = call.operands[static_cast<std::size_t>(k)];
        return value < inputs_.size() &&
               (ways_[value] == Way::kOne || ways_[value] == Way::kOneARow);
      };
      std::size_t single = 0;
      for (int k = call.operand_count; k-- > 0;) {
        if (is_one(k) && call.kernels[static_cast<std::size_t>(k) + 1] != nullptr)
          single = static_cast<std::size_t>(k) + 1;
      }
      for (int k = 0; k < call.operand_count; ++k) {
        if (is_one(k) && static_cast<std::size_t>(k) + 1 != single)
          fills_[call.operands[static_cast<std::size_t>(k)]] = true;
      }
      kernels_.push_back(call.kernels[single]);
    }
  }

  void choose_tile() {
    const std::int64_t count = end_ - first_;
    needs_buffers_ = program_.steps.size() > 1 || parts_.calls.empty() ||
                     kernels::is_half(result_type(0)) ||
                     std::ranges::any_of(ways_, [](Way way) { return way != Way::kThere; });
    if (!needs_buffers_) {
      tile_ = count;
      return;
    }
    std::size_t held = parts_.buffers - inputs_.size();
    held += static_cast<std::size_t>(std::ranges::count(is_made_in_place_, true));
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      held += ways_[i] == Way::kThere || ways_[i] == Way::kLoaded || fills_[i] ? 1 : 0;
    constexpr std::size_t kNearCache = std::size_t{24} << 10;
    constexpr std::int64_t kLeast = 256;
    for (tile_ = kLongestTile; tile_ > kLeast; tile_ /= 2) {
      if (held * parts_.width * static_cast<std::size_t>(tile_) <= kNearCache) break;
    }
  }

  void place_buffers() {
    bytes_ = parts_.width * static_cast<std::size_t>(needs_buffers_ ? tile_ : 0);
    memory_ = scratch(bytes_ * (parts_.buffers + 1));
    halves_ = memory_ + bytes_ * parts_.buffers;
    for (std::size_t value = 0; value < places_.size(); ++value)
      places_[value] = memory_ + bytes_ * parts_.buffer[value];
  }

  void place_tile(std::int64_t at, std::int64_t length) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (ways_[i] == Way::kLoaded) load(i, at, length);
      if (ways_[i] == Way::kOneARow) load(i, at, fills_[i] ? length : 1);
      if (ways_[i] == Way::kThere) places_[i] = input_at(i, at);
    }
    for (std::size_t r = 0; r < results_.size(); ++r) {
      if (is_made_in_place_[r]) places_[program_.results[r]] = result_at(r, at);
    }
  }

  void compute_tile(std::size_t elements) {
    for (std::size_t i = 0; i < parts_.calls.size(); ++i) {
      const Parts::Call& call = parts_.calls[i];
      const void* operands[3];
      for (int k = 0; k < call.operand_count; ++k)
        operands[k] = places_[call.operands[static_cast<std::size_t>(k)]];
      kernels_[i](operands, places_[call.result], elements);
      if (call.rounds_to)
        round_to(*call.rounds_to, reinterpret_cast<float*>(places_[call.result]),
                 reinterpret_cast<std::uint16_t*>(halves_), elements);
    }
  }

  void store_tile(std::int64_t at, std::int64_t length) const {
    for (std::size_t r = 0; r < results_.size(); ++r) {
      if (is_made_in_place_[r]) continue;
      const Type type = result_type(r);
      const std::byte* const made = places_[program_.results[r]];
      std::byte* const out = result_at(r, at);
      if (kernels::is_half(type)) {
        narrow(reinterpret_cast<const float*>(made), length, float_of(type),
               reinterpret_cast<std::uint16_t*>(out));
      } else {
        std::memcpy(out, made, static_cast<std::size_t>(length) * size_of(type));
      }
    }
  }

  InlineVector<bool, 8> fills_;             // inputs that are one element and wanted as many
  InlineVector<Kernel, 8> kernels_;         // of each call
  InlineVector<bool, 4> is_made_in_place_;  // of each result
  bool needs_buffers_ = false;
};

// Block by block, each through all steps.
class TilePlan::RunOfChain : public TilePlan::Run {
 public:
  using Run::Run;

  // False, and nothing done, where rows are short, or a result lies over an input that is read
  // later.
  bool compute() {
    choose_ways(false);
    if ((row_ != 0 && !pays(row_)) || !std::ranges::all_of(may_be_made_in_place_, std::identity()))
      return false;
    choose_tile();
    place_blocks();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (ways_[i] == Way::kOne) load_one(i, 0);
    }
    const Chain::Calls calls = chain_.calls({chain_places_.data(), chain_places_.size()});
    for_each_tile([&](std::int64_t at, std::int64_t length) {
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        if (ways_[i] == Way::kOneARow) load_one(i, at);
        if (ways_[i] == Way::kLoaded) load(i, at, length);
        if (ways_[i] == Way::kThere) places_[i] = input_at(i, at);
        chain_places_[i].base = places_[i];
      }
      for (std::size_t r = 0; r < results_.size(); ++r)
        chain_places_[places_.size() + r].base = result_at(r, at);
      chain_.run(calls, {chain_places_.data(), chain_places_.size()},
                 static_cast<std::size_t>(length), !is_over_inputs_, spare_);
    });
    return true;
  }

  // Whether so many elements in one go are worth what is to be done before them.
  static bool pays(std::int64_t elements) { return elements >= 512; }

 private:
  static constexpr std::size_t kMoves = ~std::size_t{0};

  // As long as can be, but for inputs that are copied.
  void choose_tile() {
    tile_ = row_ != 0 ? row_ : end_ - first_;
    std::int64_t copied = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (ways_[i] != Way::kLoaded || (row_ != 0 && axes_.step(i) == 1)) continue;
      copied = tile_ = std::min(tile_, kLongestTile);
    }
    bytes_ = sizeof(float) * std::max(static_cast<std::size_t>(copied), chain_.block());
  }

  // An input has a tile, and steps have blocks.
  void place_blocks() {
    const std::size_t block = chain_.block() * sizeof(float), given = inputs_.size();
    const std::size_t blocks_of_steps = parts_.buffers - given;
    memory_ = scratch(bytes_ * given +
                      block * (blocks_of_steps + chain_.unpacked() + given + results_.size()));
    std::byte* const blocks = memory_ + bytes_ * given;
    for (std::size_t value = 0; value < places_.size(); ++value) {
      if (value < given) {
        const bool moves = ways_[value] == Way::kThere || ways_[value] == Way::kLoaded;
        chain_places_.push_back({nullptr, moves ? kMoves : 0});
      } else {
        chain_places_.push_back({blocks + block * (parts_.buffer[value] - given), 0});
      }
    }
    for (std::size_t r = 0; r < results_.size(); ++r) chain_places_.push_back({nullptr, kMoves});
    spare_ = blocks + block * blocks_of_steps;
    for (std::size_t i = 0; i < chain_.unpacked(); ++i, spare_ += block)
      chain_places_.push_back({spare_, 0});
  }

  // A block of the one element that an input is at `at`.
  void load_one(std::size_t i, std::int64_t at) {
    load(i, at, 1);
    gather(size_of(program_.inputs[i]), places_[i], 0, chain_.block(), places_[i]);
  }

  const Chain& chain_ = *parts_.chain;
  InlineVector<Chain::Place, 32> chain_places_;
  std::byte* spare_ = nullptr;
};

void TilePlan::run(std::span<const std::int64_t> shape, std::span<const ProgramInput> inputs,
                   std::span<void* const> results, std::int64_t first, std::int64_t count) const {
  if (parts_->chain && RunOfChain::pays(count) &&
      RunOfChain(*parts_, shape, inputs, results, first, count).compute())
    return;
  RunOfKernels(*parts_, shape, inputs, results, first, count).compute();
}

}  // namespace mlxnx::kernels
