#!/usr/bin/env bash
# Builds the fuzz targets of native/fuzz and runs each of them for some seconds. What they come upon stays in
# BUILD_FOLDER/fuzz/corpus, what fails in BUILD_FOLDER/fuzz/findings.
# usage: tools/fuzz.sh BUILD_FOLDER SECONDS [may-skip]     FUZZ_CXX names a clang++ with libFuzzer
# With `may-skip` a machine without such a clang is no failure.
set -uo pipefail
cd "$(dirname "$0")/.."

usage='usage: tools/fuzz.sh BUILD_FOLDER SECONDS [may-skip]'
folder=${1:?$usage}/fuzz
seconds=${2:?$usage}
compiler=${FUZZ_CXX:-clang++}
memory=512 # MB
mkdir -p "$folder/corpus" "$folder/findings" "$folder/logs"

can_fuzz() {
  printf 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    "$compiler" -x c++ -fsanitize=fuzzer,address,undefined -o "$folder/empty" - >"$folder/logs/compiler.log" 2>&1
}
if ! can_fuzz; then
  case $(uname) in
  Darwin) advice="brew install llvm, and FUZZ_CXX=\$(brew --prefix llvm)/bin/clang++" ;;
  *) advice="on Debian, as root: apt-get install clang" ;;
  esac
  if command -v "$compiler" >/dev/null 2>&1; then reason="$compiler has no libFuzzer"; else reason="there is no $compiler"; fi
  printf 'fuzz: skipped, %s (%s)\n' "$reason" "$advice"
  [ "${3:-}" = may-skip ] || exit 1
  printf '0 passed, 0 failed, 1 skipped\n'
  exit
fi

cmake --preset fuzz -S native -B "$folder" "-DCMAKE_CXX_COMPILER=$compiler" >"$folder/configure.log" 2>&1 ||
  { tail -n 40 "$folder/configure.log" && exit 1; }
cmake --build "$folder" -j "${JOBS:-2}" || exit 1

limits=(-rss_limit_mb=$memory -timeout=1)

# The time limit is by the clock: on a busy machine a run can miss it that does not when it is repeated.
is_repeated() { # TARGET
  local finding
  finding=$(sed -n 's/.*Test unit written to //p' "$folder/logs/$1.log" | tail -n 1)
  case $finding in
  *-timeout-*) ;;
  *) return 0 ;;
  esac
  "$folder/bin/fuzz_$1" "${limits[@]}" "$finding" >/dev/null 2>&1 || return 0
  rm "$finding"
  return 1
}

passed=0 failed=0
while read -r target; do
  mkdir -p "$folder/corpus/$target"
  log=$folder/logs/$target.log
  verdict=
  if "$folder/bin/fuzz_$target" "${limits[@]}" "-max_total_time=$seconds" -print_final_stats=1 \
    "-artifact_prefix=$folder/findings/$target-" "$folder/corpus/$target" "$folder/seeds/$target" >"$log" 2>&1; then
    passed=$((passed + 1))
  elif is_repeated "$target"; then
    failed=$((failed + 1)) verdict=", FAILED"
    grep -E '^(==[0-9]+==)? *ERROR|^SUMMARY|runtime error|Test unit written to' "$log"
  else
    passed=$((passed + 1)) verdict=", ended early by a busy machine"
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-12s %9s runs in %d s%s\n' "$target" "${runs:-0}" "$seconds" "$verdict"
done < <(sed -n 's/^FUZZ_TARGET(\(.*\))$/\1/p' "$folder/fuzz/fuzz_targets.inc")
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
