// A process that ends in the midst of work: ending_program WORK END DELAY_US. What it has to say
// goes to buffers that exit must flush.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mlxnx/mlxnx.h"

namespace {

using namespace mlxnx;

// Made before all others, so its destructor is the last of the program's own.
struct Witness {
  ~Witness() { std::cout << "destroyed" << '\n'; }
} witness;

Tensor ramp(const Shape& shape) { return divide(iota(shape, {.type = DType::f32}), 1.0e3f); }

Tensor products(std::int64_t side) {
  const Tensor a = ramp({side, side});
  Tensor x = a;
  for (int i = 0; i < 20; ++i) x = divide(dot(x, a), 1.0e10f);
  return x;
}

Tensor elementwise() {
  Tensor x = ramp({4'000'000});
  for (int i = 0; i < 100; ++i) x = sin(add(x, 1.0f));
  return x;
}

void run_fused() {
  const auto body = jit([](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 4; ++i) y = tanh(add(multiply(y, 0.5f), 0.1f));
    return y;
  });
  const Tensor x = ramp({3'000'000});
  for (int i = 0; i < 10'000; ++i) async_eval({body(x)});
}

void keep_compiled() {
  const auto body = [](const Tensor& x) { return sum(sin(x)); };
  static std::vector<decltype(jit(body))> functions;
  const Tensor x = ramp({20'000});
  for (int i = 0; i < 100; ++i) {
    functions.push_back(jit(body));
    for (int call = 0; call < 4; ++call) eval(functions.back()(x));
  }
}

void run_small() {
  Tensor x = ramp({4});
  for (int i = 0; i < 100'000'000; ++i) x = add(multiply(x, 0.5f), 1.0f);
}

void in_background(void (*work)()) { std::thread(work).detach(); }

void start(std::string_view work) {
  // A thread that is the first of all to use the library may be lost at an end: see the
  // limitations.
  eval(ramp({20'000}));
  if (work == "long_product") async_eval(dot(ramp({5000, 5000}), ramp({5000, 5000})));
  if (work == "products") async_eval({products(3000)});
  if (work == "small_products")
    in_background([] {
      while (true) eval(products(300));
    });
  if (work == "elementwise") async_eval({elementwise()});
  if (work == "fused") in_background(run_fused);
  if (work == "small") in_background(run_small);
  if (work == "kept_function") keep_compiled();
  if (work == "lapack") async_eval({linalg::svd(ramp({1500, 1500})).s});
  if (work == "threads") {
    for (int i = 0; i < 4; ++i) {
      in_background([] {
        while (true) eval(elementwise());
      });
    }
    in_background([] {
      while (true) eval(products(700));
    });
  }
}

long long now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int end(std::string_view how) {
  std::printf("%lld\n", now());
  if (how == "exit") std::exit(7);
  if (how == "throw") throw std::runtime_error("on purpose");
  if (how == "quick") {
    std::fflush(nullptr);
    std::_Exit(7);
  }
  if (how == "term" || how == "int") {
    std::fflush(nullptr);
    // More than once: while `system` waits for a compiler, a process ignores SIGINT.
    while (::kill(::getpid(), how == "term" ? SIGTERM : SIGINT) == 0) ::usleep(20'000);
  }
  return 7;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  try {
    start(arguments[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(std::stol(arguments[3])));
    return end(arguments[2]);
  } catch (const std::exception& error) {
    std::cout << error.what() << '\n';
    return 7;
  }
}
