// Learns to write like a text, character by character: a small transformer that guesses each
// character from those before it.
//
//     characters [OPTION VALUE]... FILE...          (characters --help lists the options)
//
// The last tenth of the text is held out, and the loss there says how well the model guesses what
// it has not seen. Losses are in nats per character; a model that knows only how frequent each
// character is can't get below the entropy of these frequencies, which is printed at first. `make
// train-characters` learns the documents of this repository.
#include <mlxnx/io.h>
#include <mlxnx/mlxnx.h>
#include <mlxnx/nn/embedding.h>
#include <mlxnx/nn/linear.h>
#include <mlxnx/nn/losses.h>
#include <mlxnx/nn/transformer.h>
#include <mlxnx/optimizers.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using mlxnx::Tensor;
namespace nn = mlxnx::nn;
namespace optimizers = mlxnx::optimizers;
using Clock = std::chrono::steady_clock;

namespace {

struct Options {
  std::int64_t steps = 1000, batch = 16, context = 64, width = 96, heads = 4, layers = 3;
  double rate = 3e-3, dropout = 0.1;
  std::int64_t seed = 1, report_every = 50, sample_every = 250, length = 200;
  double temperature = 0.8;
  std::string prompt, load, save;
  std::vector<std::string> files;
};

/// The characters that there are, each a few bytes of UTF-8, and their numbers.
class Vocabulary {
 public:
  explicit Vocabulary(const std::string& text) {
    for (const std::string& character : split(text)) numbers_.try_emplace(character, 0);
    for (auto& [character, number] : numbers_) {
      number = static_cast<std::int32_t>(characters_.size());
      characters_.push_back(character);
    }
  }

  std::int64_t size() const { return static_cast<std::int64_t>(characters_.size()); }
  const std::string& operator[](std::int32_t number) const {
    return characters_.at(static_cast<std::size_t>(number));
  }
  /// All characters in their order: what a vocabulary is made from again.
  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> all;
    for (const std::string& character : characters_)
      all.insert(all.end(), character.begin(), character.end());
    return all;
  }
  std::vector<std::int32_t> numbers_of(const std::string& text) const {
    std::vector<std::int32_t> numbers;
    for (const std::string& character : split(text)) {
      const auto found = numbers_.find(character);
      if (found == numbers_.end())
        throw std::runtime_error("the character '" + character + "' is not among those to learn");
      numbers.push_back(found->second);
    }
    return numbers;
  }

 private:
  // Each byte begins a character, but for those that UTF-8 marks as its continuation.
  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> characters;
    for (const char byte : text) {
      const bool continues = (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
      if (characters.empty() || !continues) characters.emplace_back();
      characters.back() += byte;
    }
    return characters;
  }

  std::vector<std::string> characters_;
  std::map<std::string, std::int32_t> numbers_;
};

/// A model is a struct of layers. All that goes by tensors or by their names (`jit`, gradients,
/// optimizers, files) finds them by MLXNX_MEMBERS.
struct Model {
  nn::Embedding characters, places;
  nn::TransformerEncoder encoder;
  nn::Linear head;
  MLXNX_MEMBERS(characters, places, encoder, head)

  /// Logits `[…, length, vocabulary]` of what follows each character of `text`, numbers `[…,
  /// length]`. In training there is a key, by which shares of what the layers answer are dropped.
  Tensor operator()(const Tensor& text, const std::optional<Tensor>& key = std::nullopt) const {
    const Tensor place = mlxnx::iota({text.shape().back()});
    // Causal: a place sees what stands before it, but not what it is to guess.
    return head(encoder(characters(text) + places(place), nn::AttentionMask::causal(), key));
  }
};

// Random numbers come from keys, and the same key gives the same numbers: one for each layer.
Model new_model(const Options& options, std::int64_t vocabulary, const Tensor& key) {
  const Tensor keys = mlxnx::random::split(key, 4);
  return {.characters = {{.num_embeddings = vocabulary, .dims = options.width}, take(keys, 0)},
          .places = {{.num_embeddings = options.context, .dims = options.width}, take(keys, 1)},
          .encoder = {{.num_layers = options.layers,
                       .dims = options.width,
                       .num_heads = options.heads,
                       .dropout = options.dropout},
                      take(keys, 2)},
          .head = {{.input_dims = options.width, .output_dims = vocabulary}, take(keys, 3)}};
}

// The mean loss of windows `[count, context + 1]`: each place guesses the next.
Tensor loss(const Model& model, const Tensor& windows, const std::optional<Tensor>& key) {
  const std::int64_t length = windows.shape()[1] - 1;
  const Tensor seen = slice_along_axis(windows, 0, length, {.axis = 1});
  const Tensor next = slice_along_axis(windows, 1, length, {.axis = 1});
  return nn::cross_entropy(model(seen, key), next, {.reduction = nn::Reduction::kMean});
}

// Windows of the text, a row for each start of `starts` `[count, 1]`.
Tensor windows_at(const Tensor& text, const Tensor& starts, std::int64_t context) {
  return take(text, starts + mlxnx::iota({1, context + 1}));
}

/// All that changes from step to step.
struct Training {
  Model model;
  optimizers::State state;
  Tensor key;
  MLXNX_MEMBERS(model, state, key)
};

// A step: windows from random places, the loss and its gradient, and what the optimizer makes of
// it; one program, which is traced once and compiled.
auto step_of(const Options& options, const optimizers::Optimizer& optimizer) {
  return mlxnx::jit([options, optimizer](const Training& now, const Tensor& text) {
    const Tensor keys = mlxnx::random::split(now.key, 3);
    const Tensor starts =
        mlxnx::random::randint(take(keys, 0), 0, text.size() - options.context, {options.batch, 1});
    const auto [value, slopes] = mlxnx::value_and_grad(loss)(
        now.model, windows_at(text, starts, options.context), std::optional(take(keys, 1)));
    const auto [clipped, norm] = optimizers::clip_grad_norm(slopes, 1.0);
    auto [model, state] = optimizer.update(clipped, now.state, now.model);
    return std::tuple(value, Training{model, state, take(keys, 2)});
  });
}

// A rate that rises on a line for a tenth of the steps, and then falls along a cosine.
optimizers::Schedule schedule(const Options& options) {
  const std::int64_t rising = std::max<std::int64_t>(1, options.steps / 10);
  const std::int64_t falling = std::max<std::int64_t>(1, options.steps - rising);
  return optimizers::join_schedules(
      {optimizers::linear_schedule(0, options.rate, rising),
       optimizers::cosine_decay(options.rate, falling, options.rate / 10)},
      {rising});
}

// The mean loss of a text that is not learned, in windows one after the other.
double held_out_loss(const Model& model, const Tensor& text, const Options& options) {
  static const auto loss_of = mlxnx::jit(
      [](const Model& fixed, const Tensor& windows) { return loss(fixed, windows, std::nullopt); });
  const std::int64_t count = (text.size() - 1) / options.context;
  double sum = 0;
  for (std::int64_t at = 0, size = 0; at < count; at += size) {
    size = std::min(options.batch, count - at);
    const Tensor starts = (mlxnx::iota({size, 1}) + at) * options.context;
    const Tensor mean = loss_of(model, windows_at(text, starts, options.context));
    sum += mean.item<double>() * static_cast<double>(size);
  }
  return sum / static_cast<double>(count);
}

// The prompt and what the model makes of it, each character drawn by what the model expects.
std::string write(const Model& model, const Vocabulary& vocabulary, const Tensor& key,
                  const Options& options) {
  static const auto guess =
      mlxnx::jit([](const Model& fixed, const Tensor& seen, const Tensor& last,
                    const Tensor& temperature, const Tensor& key) {
        const Tensor logits = mlxnx::take(fixed(seen), last);
        return mlxnx::random::categorical(key, logits / temperature);
      });
  const auto context = static_cast<std::size_t>(options.context);
  const Tensor keys = mlxnx::random::split(key, options.length);
  std::vector<std::int32_t> text = vocabulary.numbers_of(options.prompt);
  std::string written = options.prompt;
  for (std::int64_t i = 0; i < options.length; ++i) {
    // Windows of one length, so that one program serves: what stands behind the last is not seen.
    const std::size_t size = std::min(text.size(), context);
    std::vector<std::int32_t> seen(text.end() - static_cast<std::ptrdiff_t>(size), text.end());
    seen.resize(context);
    const Tensor next = guess(model, mlxnx::tensor(seen), Tensor(size - 1),
                              Tensor(options.temperature), take(keys, i));
    text.push_back(next.item<std::int32_t>());
    written += vocabulary[text.back()];
  }
  return written;
}

// The entropy of a text's characters in nats: what no model that takes each one by itself, whatever
// stands before it, can get below on this text.
double entropy(const std::vector<std::int32_t>& text) {
  std::map<std::int32_t, double> counts;
  for (const std::int32_t character : text) ++counts[character];
  double sum = 0;
  for (const auto& [character, count] : counts)
    sum -= count * std::log(count / static_cast<double>(text.size()));
  return sum / static_cast<double>(text.size());
}

// Set by Ctrl-C: training then ends after its step, and what was learned is kept. A second Ctrl-C
// ends the program at once.
volatile std::sig_atomic_t is_interrupted = 0;

void interrupt(int signal) {
  is_interrupted = 1;
  std::signal(signal, SIG_DFL);
}

/// What is learned, what is held out, and the keys for the three things that are random.
struct Task {
  Vocabulary vocabulary;
  Tensor learned, held_out;
  Tensor first_key, training_key, writing_key;
};

void report(const Model& model, const Task& task, const Options& options) {
  std::cout << "held out loss " << held_out_loss(model, task.held_out, options) << "\n--------\n"
            << write(model, task.vocabulary, task.writing_key, options) << "\n--------"
            << std::endl;
}

Model train(const Model& model, const Task& task, const Options& options) {
  const optimizers::AdamW adamw({.learning_rate = schedule(options), .bias_correction = true});
  const auto step = step_of(options, adamw);
  Training now{model, adamw.init(model), task.training_key};
  Tensor loss, sum = 0.0F;
  const auto time = [] { return std::chrono::duration<double>(Clock::now().time_since_epoch()); };
  auto began = time();
  std::int64_t told = 0;
  for (std::int64_t i = 1; i <= options.steps && is_interrupted == 0; ++i) {
    std::tie(loss, now) = step(now, task.learned);
    sum += loss;
    const bool writes = i % options.sample_every == 0 && i < options.steps;
    if (i % options.report_every != 0 && !writes && i != options.steps) continue;
    // Reading the sum waits for the steps; between two readings they need not wait for each other.
    const double mean = sum.item<double>() / static_cast<double>(i - told);
    const auto seen = static_cast<double>((i - told) * options.batch * options.context);
    std::cout << "step " << i << '/' << options.steps << "  loss " << mean << "  "
              << std::llround(seen / (time() - began).count()) << " characters/s" << std::endl;
    if (!std::isfinite(mean)) throw std::runtime_error("the loss is no number: try a lower --rate");
    if (writes) report(now.model, task, options);
    sum = 0.0F;
    told = i;
    began = time();
  }
  if (is_interrupted != 0) std::cout << "interrupted" << std::endl;
  return now.model;
}

// Weights and the characters that they belong to, in one file.
void save(const Model& model, const Vocabulary& vocabulary, const std::string& path) {
  nn::Parameters tensors = nn::parameters(model);
  tensors["vocabulary"] = mlxnx::tensor(vocabulary.bytes());
  mlxnx::save_safetensors(path, tensors);
}

/// One option of the command line: what it sets, and the smallest number that it takes.
struct Flag {
  std::string name;
  std::variant<std::int64_t Options::*, double Options::*, std::string Options::*> member;
  double smallest;
  std::string help;
};

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {"--steps", &Options::steps, 0, "steps of training"},
      {"--batch", &Options::batch, 1, "windows of the text in each step"},
      {"--context", &Options::context, 2, "characters that the model sees"},
      {"--width", &Options::width, 2,
       "numbers that stand for a character, a multiple of the heads"},
      {"--heads", &Options::heads, 1, "heads of attention"},
      {"--layers", &Options::layers, 1, "layers of the transformer"},
      {"--rate", &Options::rate, 0, "the highest learning rate"},
      {"--dropout", &Options::dropout, 0, "the share that training drops, below 1"},
      {"--seed", &Options::seed, 0, "of all that is random"},
      {"--report-every", &Options::report_every, 1, "steps between losses"},
      {"--sample-every", &Options::sample_every, 1, "steps between texts"},
      {"--length", &Options::length, 1, "characters of a text that is written"},
      {"--temperature", &Options::temperature, 0.01, "higher ones write what is less expected"},
      {"--prompt", &Options::prompt, 0,
       "what such a text begins with; none: what the first file does"},
      {"--load", &Options::load, 0, "a .safetensors file of weights to begin with"},
      {"--save", &Options::save, 0, "a .safetensors file for the weights at the end"}};
  return all;
}

/// What the command line says that can't be done.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void set(Options& options, const Flag& flag, const std::string& text) {
  const auto assign = [&](auto member) {
    auto& value = options.*member;
    if constexpr (std::is_same_v<decltype(value), std::string&>) {
      value = text;
    } else {
      std::istringstream in(text);
      if (!(in >> value) || !in.eof() || !(static_cast<double>(value) >= flag.smallest)) {
        std::ostringstream reason;
        reason << flag.name << " takes a number of at least " << flag.smallest << ", not '" << text
               << "'";
        throw UsageError(reason.str());
      }
    }
  };
  std::visit(assign, flag.member);
}

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].starts_with("--")) {
      options.files.push_back(arguments[i]);
      continue;
    }
    const auto flag = std::ranges::find(flags(), arguments[i], &Flag::name);
    if (flag == flags().end()) throw UsageError("there is no option " + arguments[i]);
    if (i + 1 == arguments.size()) throw UsageError(arguments[i] + " takes a value");
    set(options, *flag, arguments[++i]);
  }
  if (options.files.empty()) throw UsageError("name a file whose text is to be learned");
  return options;
}

void print_help() {
  std::cout << "usage: characters [OPTION VALUE]... FILE...\n\n"
               "Learns to write like the text of the files, and writes.\n\n";
  const Options defaults;
  for (const Flag& flag : flags()) {
    std::cout << "  " << std::left << std::setw(16) << flag.name << flag.help;
    std::visit(
        [&](auto member) {
          if constexpr (!std::is_same_v<decltype(member), std::string Options::*>)
            std::cout << " (" << defaults.*member << ')';
        },
        flag.member);
    std::cout << '\n';
  }
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) throw std::runtime_error("can't read " + path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw std::runtime_error(path + " is empty");
  return text;
}

// The tenth of each text is held out, its end.
Task new_task(const Vocabulary& vocabulary, const std::vector<std::string>& texts,
              const Options& options) {
  std::vector<std::int32_t> learned, held_out;
  for (const std::string& text : texts) {
    const std::vector<std::int32_t> numbers = vocabulary.numbers_of(text);
    const auto middle = numbers.end() - static_cast<std::ptrdiff_t>(numbers.size() / 10);
    learned.insert(learned.end(), numbers.begin(), middle);
    held_out.insert(held_out.end(), middle, numbers.end());
  }
  const auto size = static_cast<std::int64_t>(held_out.size());
  if (size <= options.context) {
    throw std::runtime_error("the tenth of the text that is held out has " + std::to_string(size) +
                             " characters: too few for a context of " +
                             std::to_string(options.context));
  }
  std::cout << learned.size() << " characters to learn, " << vocabulary.size()
            << " different ones\n"
            << size << " held out: a loss of " << entropy(held_out)
            << " by the frequencies of characters alone" << std::endl;
  const Tensor key = mlxnx::random::key(static_cast<std::uint64_t>(options.seed));
  const Tensor keys = mlxnx::random::split(key, 3);
  return {vocabulary,    mlxnx::tensor(learned), mlxnx::tensor(held_out),
          take(keys, 0), take(keys, 1),          take(keys, 2)};
}

// What would fail at the end of training is to be told before it.
void require_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (!std::filesystem::is_directory(folder))
    throw std::runtime_error("there is no folder " + folder.string() + " to save weights in");
}

void run(Options options) {
  std::cout << std::fixed << std::setprecision(4);
  std::vector<std::string> texts;
  std::string all;
  for (const std::string& path : options.files) all += texts.emplace_back(read(path));
  nn::Parameters weights;
  if (!options.load.empty()) {
    weights = mlxnx::load_safetensors(options.load);
    const auto found = weights.extract("vocabulary");
    if (found.empty()) throw std::runtime_error(options.load + " does not hold a vocabulary");
    const auto bytes = found.mapped().to_vector<std::uint8_t>();
    all.assign(bytes.begin(), bytes.end());
  }
  const Vocabulary vocabulary(all);
  if (options.prompt.empty()) options.prompt = vocabulary[vocabulary.numbers_of(texts[0]).front()];
  vocabulary.numbers_of(options.prompt);  // throws for an unknown character
  if (!options.save.empty()) require_folder_of(options.save);
  const Task task = new_task(vocabulary, texts, options);
  Model model = new_model(options, vocabulary.size(), task.first_key);
  if (!options.load.empty()) model = nn::load_parameters(model, weights);
  model = train(model, task, options);
  report(model, task, options);
  if (!options.save.empty()) save(model, vocabulary, options.save);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (std::ranges::find(arguments, "--help") != arguments.end()) {
    print_help();
    return 0;
  }
  try {
    const Options options = parse(arguments);
    // What a shell starts in the background ignores Ctrl-C, and so does this.
    if (std::signal(SIGINT, interrupt) == SIG_IGN) std::signal(SIGINT, SIG_IGN);
    run(options);
    return is_interrupted != 0 ? 130 : 0;
  } catch (const UsageError& error) {
    std::cerr << "characters: " << error.what() << " (--help tells more)\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "characters: " << error.what() << '\n';
    return 1;
  }
}
