// Writes the seeds of all targets: write_seeds FOLDER makes FOLDER/TARGET/NUMBER.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "seeds.h"

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: write_seeds FOLDER\n", stderr);
    return 2;
  }
  for (const char* target : {
#define FUZZ_TARGET(name) #name,
#include "fuzz_targets.inc"
#undef FUZZ_TARGET
       }) {
    const std::filesystem::path folder = std::filesystem::path(arguments[1]) / target;
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const std::string& seed : mlxnx::fuzz::seeds_of(target))
      std::ofstream(folder / std::to_string(number++), std::ios::binary) << seed;
  }
}
