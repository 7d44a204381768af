#include "kernels/chain.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mlxnx::kernels {

namespace {

bool is_number(Type type) { return type == Type::kF32 || is_half(type); }
bool is_held(Type type) { return is_number(type) || type == Type::kBool; }

// A program's stages, one after the other. What a step makes is in registers when the next step
// begins. Where another one reads it, it is kept in the registers that are for that, or stored.
class Builder {
 public:
  using Part = Chain::Part;
  using Source = Chain::Source;

  Builder(const Program& program, const Chain::Target& target)
      : program_(program),
        target_(target),
        given_(program.inputs.size()),
        values_(given_ + program.steps.size()) {}

  // False where some step has none.
  bool find() {
    // Where stages are no jumps each is a call within the one before.
    constexpr std::size_t kMost = 512;
    const auto is_step = [this](std::uint16_t value) { return value >= given_; };
    if (!std::ranges::all_of(program_.inputs, is_held) || program_.steps.size() > kMost ||
        !std::ranges::all_of(program_.results, is_step) || !find_uses())
      return false;
    find_kept();
    unpack_inputs();
    for (std::size_t i = 0; i < program_.steps.size(); ++i) add_step(i);
    add(target_.end);
    return true;
  }

  std::vector<Part> parts;
  std::size_t unpacked = 0;  // inputs that have a block of f32 behind the places of results

 private:
  // The operand that is brought to registers before a step, where not one of these.
  static constexpr int kNone = -1, kAllInMemory = -2;

  struct Use {
    std::size_t last = 0;    // the step that reads it last, of those that find it as it is stored
    bool is_stored = false;  // there are such
    bool is_kept = false;    // they find it in registers
    bool by_kernel = false;  // one of them takes it from memory
  };

  std::uint16_t operand(std::size_t i, int k) const {
    return program_.steps[i].operands[static_cast<std::size_t>(k)];
  }
  bool may_be_held(std::size_t i, int k) const {
    return k == 0 || operand_count(program_.steps[i].function) == 2;
  }
  bool was_made_before(std::size_t i, int k) const {
    return i > 0 && may_be_held(i, k) && operand(i, k) == given_ + i - 1;
  }
  bool is_packed(std::size_t value) const {
    return value < given_ && program_.inputs[value] != Type::kF32;
  }

  // None where a step has neither a stage nor a kernel.
  std::optional<int> find_loaded(std::size_t i) const {
    const Step& step = program_.steps[i];
    if (!is_held(step.type) || !is_held(step.result)) return std::nullopt;
    if (target_.stage(step, {Source::kHeld, Source::kMemory, Source::kMemory}) == nullptr) {
      const bool has_kernel = is_number(step.type) && is_number(step.result) &&
                              kernel_of(step.function, Type::kF32) != nullptr;
      return has_kernel ? std::optional(kAllInMemory) : std::nullopt;
    }
    if (was_made_before(i, 0) || was_made_before(i, 1)) return kNone;
    if (!may_be_held(i, 1) || is_packed(operand(i, 0))) return 0;
    return is_packed(operand(i, 1)) ? 1 : kNone;
  }

  bool find_uses() {
    uses_.resize(values_);
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const std::optional<int> loaded = find_loaded(i);
      if (!loaded) return false;
      loaded_.push_back(*loaded);
      const bool by_kernel = *loaded == kAllInMemory;
      for (int k = 0; k < operand_count(program_.steps[i].function); ++k) {
        const bool is_loaded_input = k == *loaded && operand(i, k) < given_;
        if (is_loaded_input || (was_made_before(i, k) && !by_kernel)) continue;
        Use& use = uses_[operand(i, k)];
        use.is_stored = true;
        use.last = i;
        use.by_kernel |= by_kernel;
      }
    }
    return true;
  }

  // As many values as can be, one at a time: always the one that is done with first.
  void find_kept() {
    std::vector<std::size_t> steps;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const Use& use = uses_[given_ + i];
      if (use.is_stored && !use.by_kernel && loaded_[i] != kAllInMemory) steps.push_back(i);
    }
    std::ranges::stable_sort(steps, {}, [this](std::size_t i) { return uses_[given_ + i].last; });
    std::size_t free_from = 0;
    for (const std::size_t i : steps) {
      if (i < free_from) continue;
      uses_[given_ + i].is_kept = true;
      free_from = uses_[given_ + i].last;
    }
  }

  // Those of fewer bits that steps read from memory.
  void unpack_inputs() {
    for (std::size_t i = 0; i < values_; ++i) {
      places_.push_back(static_cast<std::uint16_t>(i));
      if (i >= given_ || !uses_[i].is_stored || !is_packed(i)) continue;
      add(target_.load(program_.inputs[i]), places_[i]);
      places_[i] = static_cast<std::uint16_t>(values_ + program_.results.size() + unpacked++);
      add(target_.store(Type::kF32), places_[i]);
    }
  }

  void add_step(std::size_t i) {
    const Step& step = program_.steps[i];
    const auto value = static_cast<std::uint16_t>(given_ + i);
    const bool by_kernel = loaded_[i] == kAllInMemory;
    if (by_kernel) {
      add_kernel(i);
    } else {
      if (loaded_[i] != kNone) load(operand(i, loaded_[i]));
      add_stage(i);
    }
    const bool rounds = is_half(step.result) && step.function != Function::k_select;
    if (rounds) add(target_.rounding(step.result));
    if (uses_[value].is_kept) {
      add(target_.keep);
    } else if (uses_[value].is_stored && (!by_kernel || rounds)) {
      add(target_.store(Type::kF32), value);
    }
    held_ = value;
    for (std::size_t r = 0; r < program_.results.size(); ++r) {
      if (program_.results[r] == value)
        add(target_.store(step.result), static_cast<std::uint16_t>(values_ + r));
    }
  }

  void add_kernel(std::size_t i) {
    const Step& step = program_.steps[i];
    Part part{.call = {.stage = target_.kernel, .kernel = kernel_of(step.function, Type::kF32)}};
    part.call.places = {};  // where there is no operand, any place does
    for (int k = 0; k < operand_count(step.function); ++k)
      part.call.places[static_cast<std::size_t>(k)] = places_[operand(i, k)];
    part.call.places[2] = static_cast<std::uint16_t>(given_ + i);
    parts.push_back(part);
  }

  void add_stage(std::size_t i) {
    const Step& step = program_.steps[i];
    std::array<Source, 3> from{};
    Part part;
    std::size_t count = 0;
    for (int k = 0; k < operand_count(step.function); ++k) {
      const std::uint16_t value = operand(i, k);
      Source& source = from[static_cast<std::size_t>(k)];
      if (value == held_ && may_be_held(i, k)) {
        source = Source::kHeld;
      } else if (uses_[value].is_kept) {
        source = Source::kKept;
      } else {
        source = Source::kMemory;
        part.call.places[count++] = places_[value];
      }
    }
    part.call.stage = target_.stage(step, from);
    for (unsigned ones = 1; ones < 1U << count; ++ones) {
      std::array<Source, 3> with_ones = from;
      unsigned seen = 0;
      for (Source& source : with_ones) {
        if (source == Source::kMemory && ((ones >> seen++) & 1U) != 0) source = Source::kOne;
      }
      part.with_ones[ones - 1] = target_.stage(step, with_ones);
    }
    parts.push_back(part);
  }

  void load(std::uint16_t value) {
    if (held_ == value) return;
    held_ = value;
    if (uses_[value].is_kept) return add(target_.take);
    const bool is_as_given = value < given_ && places_[value] == value;
    add(target_.load(is_as_given ? program_.inputs[value] : Type::kF32), places_[value]);
  }

  void add(Chain::Stage stage, std::uint16_t place = Chain::kNowhere) {
    parts.push_back({.call = {.stage = stage, .places = {place, Chain::kNowhere}}});
  }

  const Program& program_;
  const Chain::Target& target_;
  const std::size_t given_, values_;
  std::vector<Use> uses_;              // of each value
  std::vector<int> loaded_;            // of each step
  std::vector<std::uint16_t> places_;  // of each value, to be read as f32
  std::optional<std::uint16_t> held_;
};

}  // namespace

std::optional<Chain> Chain::of(const Program& program) {
  const Target target = Chain::target();
  if (target.block == 0) return std::nullopt;
  Builder builder(program, target);
  if (!builder.find()) return std::nullopt;
  Chain chain;
  chain.parts_ = std::move(builder.parts);
  chain.inputs_ = program.inputs;
  for (const std::uint16_t value : program.results)
    chain.results_.push_back(program.type_of(value));
  chain.steps_ = program.steps.size();
  chain.unpacked_ = builder.unpacked;
  chain.block_ = target.block;
  chain.run_ = target.run;
  return chain;
}

Chain::Calls Chain::calls(std::span<const Place> places) const {
  Calls calls;
  for (const Part& part : parts_) {
    std::size_t ones = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      const std::uint16_t place = part.call.places[k];
      const bool is_input = place < inputs_.size() && inputs_[place] == Type::kF32;
      if (is_input && places[place].moves == 0) ones |= std::size_t{1} << k;
    }
    calls.push_back(part.call);
    if (ones != 0 && part.with_ones[ones - 1] != nullptr)  // a part that loads or stores has none
      calls.back().stage = part.with_ones[ones - 1];
  }
  return calls;
}

void Chain::run(const Calls& calls, std::span<const Place> places, std::size_t count,
                bool may_compute_twice, std::byte* spare) const {
  const std::size_t whole = count / block_ * block_, rest = count - whole;
  run_(calls.data(), places.data(), 0, whole);
  if (rest == 0) return;
  if (whole != 0 && may_compute_twice)
    return run_(calls.data(), places.data(), count - block_, count);
  // What is left goes through a block of its own.
  InlineVector<Place, 32> all(places);
  const auto block = [&] {
    const Place place{spare, 0};
    spare += block_ * sizeof(float);
    return place;
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (places[i].moves == 0) continue;
    all[i] = block();
    std::memcpy(all[i].base, places[i].base + whole * size_of(inputs_[i]),
                rest * size_of(inputs_[i]));
  }
  const std::size_t before = inputs_.size() + steps_;
  for (std::size_t r = 0; r < results_.size(); ++r) all[before + r] = block();
  run_(calls.data(), all.data(), 0, block_);
  for (std::size_t r = 0; r < results_.size(); ++r) {
    std::memcpy(places[before + r].base + whole * size_of(results_[r]), all[before + r].base,
                rest * size_of(results_[r]));
  }
}

}  // namespace mlxnx::kernels
