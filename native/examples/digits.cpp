// Learns to read handwritten digits, 1797 images of 8 by 8 in shades of 0 to 16, with a network of
// two dense layers and with a convolution net; every fifth image is held out and read at the end.
//
//     digits DIGITS.csv [FOLDER]
//
// A line of the file is an image's 64 shades and its digit (the one of scikit-learn; `make
// train-digits` fetches it). Into FOLDER go losses.csv, a line for each epoch, and confusion.csv.
#include <mlxnx/mlxnx.h>
#include <mlxnx/nn/activations.h>
#include <mlxnx/nn/convolution.h>
#include <mlxnx/nn/linear.h>
#include <mlxnx/nn/losses.h>
#include <mlxnx/nn/pooling.h>
#include <mlxnx/optimizers.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using mlxnx::Tensor;
namespace nn = mlxnx::nn;
namespace optimizers = mlxnx::optimizers;

namespace {

constexpr std::int64_t kSide = 8;
constexpr std::int64_t kPixels = kSide * kSide;
constexpr std::int64_t kDigits = 10;
constexpr int kEpochs = 40;
constexpr std::int64_t kBatch = 64;
constexpr double kNoise = 0.2;
constexpr double kWanted = 0.97;

struct Images {
  std::vector<float> shades;
  std::vector<std::int32_t> digits;

  std::int64_t size() const { return static_cast<std::int64_t>(digits.size()); }
  Tensor pixels(const std::vector<std::int64_t>& which) const {
    std::vector<float> chosen;
    for (const std::int64_t i : which)
      chosen.insert(chosen.end(), shades.begin() + i * kPixels, shades.begin() + (i + 1) * kPixels);
    return reshape(mlxnx::tensor(chosen),
                   {static_cast<std::int64_t>(which.size()), kSide, kSide, 1});
  }
  Tensor labels(const std::vector<std::int64_t>& which) const {
    std::vector<std::int32_t> chosen;
    for (const std::int64_t i : which) chosen.push_back(digits.at(static_cast<std::size_t>(i)));
    return mlxnx::tensor(chosen);
  }
};

Images read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("can't read " + path);
  Images images;
  std::string line, number;
  while (std::getline(file, line)) {
    std::istringstream numbers(line);
    std::vector<float> values;
    while (std::getline(numbers, number, ',')) values.push_back(std::stof(number));
    if (values.size() != kPixels + 1)
      throw std::runtime_error(path + " has a line that is no image: " + line.substr(0, 60));
    images.digits.push_back(static_cast<std::int32_t>(values.back()));
    values.pop_back();
    for (const float value : values) images.shades.push_back(value / 16);
  }
  return images;
}

struct Dense {
  nn::Linear first, second;
  MLXNX_MEMBERS(first, second)

  explicit Dense(const Tensor& key)
      : first({.input_dims = kPixels, .output_dims = 256}, mlxnx::random::split(key).first),
        second({.input_dims = 256, .output_dims = kDigits}, mlxnx::random::split(key).second) {}
  Tensor operator()(const Tensor& x) const {
    return second(nn::relu(first(reshape(x, {x.shape()[0], kPixels}))));
  }
};

struct Convolution {
  nn::Conv2d first, second;
  nn::Linear last;
  nn::MaxPool2d pool{{.kernel_size = 2}};
  MLXNX_MEMBERS(first, second, last, pool)

  explicit Convolution(const Tensor& key)
      : first({.in_channels = 1, .out_channels = 16, .kernel_size = 3, .padding = 1}, key),
        second({.in_channels = 16, .out_channels = 32, .kernel_size = 3, .padding = 1},
               mlxnx::random::split(key).first),
        last({.input_dims = 128, .output_dims = kDigits}, mlxnx::random::split(key).second) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor maps = pool(nn::relu(second(pool(nn::relu(first(x))))));
    return last(reshape(maps, {x.shape()[0], 128}));
  }
};

struct Results {
  std::vector<double> losses;
  std::array<std::array<int, kDigits>, kDigits> confusion{};  ///< by digit, then by what was read
  double accuracy = 0;
};

template <typename Model>
Results train(const std::string& name, Model model, const Images& images) {
  std::vector<std::int64_t> learned, held_out;
  for (std::int64_t i = 0; i < images.size(); ++i) (i % 5 == 4 ? held_out : learned).push_back(i);

  const optimizers::Adam adam({.learning_rate = 2e-3});
  optimizers::State state = adam.init(model);
  const auto step = mlxnx::jit([&adam](const Model& now, const optimizers::State& kept,
                                       const Tensor& x, const Tensor& y, const Tensor& key) {
    const auto loss = [](const Model& of, const Tensor& in, const Tensor& wanted) {
      return nn::cross_entropy(of(in), wanted, {.reduction = nn::Reduction::kMean});
    };
    // A little noise, so that no image is learned by heart.
    const Tensor noisy = x + mlxnx::random::normal(key, x.shape(), {.scale = Tensor(kNoise)});
    const auto [value, slopes] = mlxnx::value_and_grad(loss)(now, noisy, y);
    auto [next, next_kept] = adam.update(slopes, kept, now);
    return std::tuple(value, next, next_kept);
  });

  Results results;
  std::mt19937 shuffle(1);
  std::uint64_t steps = 0;
  for (int epoch = 1; epoch <= kEpochs; ++epoch) {
    for (std::size_t i = learned.size(); i > 1; --i)
      std::swap(learned[i - 1], learned[shuffle() % i]);
    Tensor total = 0.0F;
    int batches = 0;
    for (std::size_t at = 0; at + kBatch <= learned.size(); at += kBatch, ++batches) {
      const auto from = learned.begin() + static_cast<std::ptrdiff_t>(at);
      const std::vector<std::int64_t> batch(from, from + kBatch);
      Tensor loss;
      std::tie(loss, model, state) = step(model, state, images.pixels(batch), images.labels(batch),
                                          mlxnx::random::key(++steps));
      total += loss;
    }
    results.losses.push_back(total.item<float>() / batches);
    if (epoch % 5 == 0)
      std::cout << name << ": epoch " << epoch << '/' << kEpochs << "  loss " << std::fixed
                << std::setprecision(4) << results.losses.back() << std::endl;
  }

  const auto read = argmax(model(images.pixels(held_out)), {.axis = 1}).template to_vector<int>();
  int right = 0;
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    const std::int32_t digit = images.digits.at(static_cast<std::size_t>(held_out[i]));
    ++results.confusion.at(static_cast<std::size_t>(digit)).at(static_cast<std::size_t>(read[i]));
    if (digit == read[i]) ++right;
  }
  results.accuracy = right / static_cast<double>(held_out.size());
  std::cout << name << ": " << right << " of " << held_out.size() << " held out images read, "
            << std::setprecision(1) << 100 * results.accuracy << " %" << std::endl;
  return results;
}

void write(const std::string& folder, const Results& dense, const Results& convolution) {
  std::ofstream losses(folder + "/losses.csv");
  losses << "epoch,dense,convolution\n";
  for (std::size_t i = 0; i < dense.losses.size(); ++i)
    losses << i + 1 << ',' << dense.losses[i] << ',' << convolution.losses[i] << '\n';
  std::ofstream confusion(folder + "/confusion.csv");
  for (const auto& row : convolution.confusion) {
    for (std::size_t i = 0; i < row.size(); ++i) confusion << (i == 0 ? "" : ",") << row[i];
    confusion << '\n';
  }
  if (!losses.flush() || !confusion.flush()) throw std::runtime_error("can't write into " + folder);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: digits DIGITS.csv [FOLDER]\n";
    return 2;
  }
  try {
    const Images images = read(argv[1]);
    const Results dense = train("dense", Dense(mlxnx::random::key(1)), images);
    const Results convolution = train("convolution", Convolution(mlxnx::random::key(2)), images);
    if (argc == 3) write(argv[2], dense, convolution);
    return dense.accuracy >= kWanted && convolution.accuracy >= kWanted ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "digits: " << error.what() << '\n';
    return 1;
  }
}
