#!/usr/bin/env bash
# Runs make targets in sequence, the later ones also after a failure, and ends with what each step counted.
# usage: tools/run_tests.sh BUILD_FOLDER TARGET...
set -uo pipefail

build=${1:?usage: tools/run_tests.sh BUILD_FOLDER TARGET...}
shift
logs=$build/logs
mkdir -p "$logs"

# The counts in a step's output, as "passed failed skipped": the last lines of ctest, unittest, replay and ExUnit.
# A step that prints none of them counts as one test.
count() { # LOG STATUS
  awk -v status="$2" '
    /tests passed, [0-9]+ tests? failed out of [0-9]+/ {
      match($0, /[0-9]+ tests? failed/); f = substr($0, RSTART) + 0
      match($0, /out of [0-9]+/); n = substr($0, RSTART + 7) + 0
      passed += n - f; failed += f; seen = 1
    }
    /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { passed += $1; failed += $3; skipped += $5; seen = 1 }
    /^Ran [0-9]+ tests? in/ { passed += $2; seen = 1 }
    /^FAILED \(/ {
      n = 0; rest = $0
      while (match(rest, /(failures|errors)=[0-9]+/)) {
        split(substr(rest, RSTART, RLENGTH), pair, "="); n += pair[2]; rest = substr(rest, RSTART + RLENGTH)
      }
      passed -= n; failed += n
    }
    /^[0-9]+ [a-z]+, ([0-9]+ [a-z]+, )*[0-9]+ failures?(, |$)/ {
      n = split($0, part, ", ")
      for (i = 1; i <= n; i++) {
        split(part[i], word, " ")
        if (word[2] ~ /^(failures?|invalid)$/) { failed += word[1]; passed -= word[1] }
        else if (word[2] ~ /^(skipped|excluded)$/) { skipped += word[1]; passed -= word[1] }
        else passed += word[1]
      }
      seen = 1
    }
    END {
      if (!seen && status == 0) passed = 1
      if (status != 0 && failed == 0) failed = 1
      print passed + 0, failed + 0, skipped + 0
    }' "$1"
}

total_passed=0 total_failed=0 total_skipped=0
summary=
for step in "$@"; do
  printf '\n== %s\n' "$step"
  start=$SECONDS
  "${MAKE:-make}" --no-print-directory BUILD="$build" "$step" 2>&1 | tee "$logs/$step.log"
  status=${PIPESTATUS[0]}
  read -r passed failed skipped < <(count "$logs/$step.log" "$status")
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
  total_skipped=$((total_skipped + skipped))
  verdict=ok
  [ "$status" = 0 ] || verdict=FAILED
  summary+=$(printf '%-12s %-7s %7d passed %5d failed %5d skipped %5d s' \
    "$step" "$verdict" "$passed" "$failed" "$skipped" $((SECONDS - start)))$'\n'
done

printf '\n%s\n' "$summary"
printf '%d passed, %d failed, %d skipped\n' "$total_passed" "$total_failed" "$total_skipped"
[ "$total_failed" = 0 ]
