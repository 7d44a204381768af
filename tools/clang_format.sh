#!/usr/bin/env bash
# Runs clang-format over the C++ sources, in the one version whose output the repository keeps.
# usage: tools/clang_format.sh fix | check
set -euo pipefail
cd "$(dirname "$0")/.."

version=14.0.6 # Debian 12's
folder=build/deps/clang-format-$version

find_program() {
  local candidate
  for candidate in clang-format-14 clang-format "$folder/clang_format/data/bin/clang-format"; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" --version | grep -q ' version 14\.'; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  rm -rf "$folder" "$folder.partial"
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --target "$folder.partial" "clang-format==$version" >&2
  mv "$folder.partial" "$folder"
  printf '%s\n' "$folder/clang_format/data/bin/clang-format"
}

program=$(find_program)
sources() { find native \( -name '*.h' -o -name '*.cpp' \) -print0; }
case ${1:-} in
fix) sources | xargs -0 "$program" -i ;;
check)
  if ! report=$(sources | xargs -0 "$program" --dry-run -Werror --ferror-limit=1 2>&1); then
    printf '%s\n' "$report" | sed -n 's/ error: .*/ is not as clang-format writes it (make format)/p' >&2
    exit 1
  fi
  printf 'format: %s files are as clang-format writes them\n' "$(sources | tr -cd '\0' | wc -c)"
  ;;
*)
  sed -n '2,3s/^# //p' "$0"
  exit 2
  ;;
esac
