#!/usr/bin/env bash
# Sees to it that the machine has what the build needs: compiler, CMake, Ninja, Python with pip, and the libraries.
# usage: tools/setup.sh STAMP [nif]     writes the file STAMP when all is there
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says which packages to install and ends with 1.
# With `nif` it looks only for what the Elixir package needs, and installs nothing: Mix calls it.
set -euo pipefail

stamp=${1:?usage: tools/setup.sh STAMP [nif]}
scope=${2:-all}
mkdir -p "$(dirname "$stamp")"
log=$(dirname "$stamp")/setup.log

say() { printf '   %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; } # VERSION NEEDED
have_command() { command -v "$1" >/dev/null 2>&1; }
have_header() { printf '#include <%s>\n' "$1" | "${CXX:-c++}" -std=c++20 -E -x c++ - >/dev/null 2>&1; }
have_pip() { python3 -m pip --version >/dev/null 2>&1; }
cmake_needed=3.24
have_cmake() {
  have_command cmake || return 1
  local version
  version=$(cmake --version | sed -n '1s/[^0-9]*//p')
  at_least "$version" "$cmake_needed"
}
cargo_needed=1.87
have_cargo() {
  local cargo version
  cargo=$(command -v cargo || command -v "$HOME/.cargo/bin/cargo") || return 1
  version=$("$cargo" --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  at_least "$version" "$cargo_needed"
}
have_openblas() { [ "$(uname)" = Darwin ] || ldconfig -p 2>/dev/null | grep -q 'libopenblas\.so\.0'; }
have_openssl() { [ "$(uname)" = Darwin ] || have_header openssl/evp.h; }

# What is needed, one line each: a test, then its package in apt, dnf, pacman and Homebrew ("-": comes with the system).
needs() {
  cat <<'TABLE'
have_command,${CXX:-c++}              g++                  gcc-c++                gcc            -
have_cmake                            cmake                cmake                  cmake          cmake
have_command,ninja                    ninja-build          ninja-build            ninja          ninja
have_command,python3                  python3              python3                python         python
have_pip                              python3-pip          python3-pip            python-pip     python
have_header,nlohmann/json.hpp         nlohmann-json3-dev   json-devel             nlohmann-json  nlohmann-json
have_header,fmt/core.h                libfmt-dev           fmt-devel              fmt            fmt
TABLE
  [ "$scope" = all ] || return 0
  cat <<'TABLE'
have_header,zip.h                     libzip-dev           libzip-devel           libzip         libzip
have_header,hwy/highway.h             libhwy-dev           highway-devel          highway        highway
have_header,curl/curl.h               libcurl4-openssl-dev libcurl-devel          curl           -
have_openssl                          libssl-dev           openssl-devel          openssl        -
have_header,CLI/CLI.hpp               libcli11-dev         cli11-devel            cli11          cli11
have_header,gtest/gtest.h             libgtest-dev         gtest-devel            gtest          googletest
have_header,gmock/gmock.h             libgmock-dev         gmock-devel            gtest          googletest
have_header,benchmark/benchmark.h     libbenchmark-dev     google-benchmark-devel benchmark      google-benchmark
TABLE
}

missing_packages() { # COLUMN
  local test apt dnf pacman brew column=$1
  # shellcheck disable=SC2034 # the names are read through $column
  while read -r test apt dnf pacman brew; do
    eval "${test/,/ }" || printf '%s\n' "${!column}"
  done < <(needs) | { grep -vx -e '-' || true; } | sort -u | paste -sd ' ' -
}

install_with_apt() { # PACKAGE...
  local install=(apt-get install -y -q --no-install-recommends "$@")
  export DEBIAN_FRONTEND=noninteractive
  say "installing with apt-get: $*"
  # The package lists of a new machine are empty and those of an old one out of date, so a failure may be cured by an update.
  if ! "${install[@]}" >"$log" 2>&1; then
    say "updating the package lists"
    apt-get update -q >>"$log" 2>&1 || true
    if ! "${install[@]}" >>"$log" 2>&1; then
      tail -n 15 "$log" >&2
      fail "apt-get could not install: $* (the whole output is in $log)"
    fi
  fi
}

candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9.]*[0-9]\).*/\1/p'; } # PACKAGE

# The suite of Debian's security updates, for machines that were set up without it: only that has a cargo which is new
# enough for Debian 12. Its archive stands beside the machine's own.
add_security_suite() {
  local release line file
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  file=/etc/apt/sources.list.d/$release-security.list
  line=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n "s|^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*/debian\)/\{0,1\} $release .*|deb \1\2-security $release-security main|p" | head -n 1)
  [ -n "$line" ] && [ ! -e "$file" ] || return 1
  printf '%s\n' "$line" >"$file"
  apt-get update -q >>"$log" 2>&1 || { rm -f "$file"; return 1; }
}

# Wanted, not needed: without cargo the build lacks tokenizers, chat templates and grammars.
want_cargo() { # PACKAGE
  have_cargo && return 0
  if [ "$1" = cargo-web ] && [ "$(id -u)" = 0 ] && have_command apt-get; then
    at_least "$(candidate "$1")" "$cargo_needed" || add_security_suite || true
    at_least "$(candidate "$1")" "$cargo_needed" && (install_with_apt "$1") 2>/dev/null && have_cargo && return 0
  fi
  say "tokenizers, chat templates and grammars will be missing: they need cargo $cargo_needed or newer (package $1)"
}

if have_command brew; then
  CPATH="$(brew --prefix)/include${CPATH:+:$CPATH}" # the compiler does not look there by itself
  export CPATH
fi

if have_command apt-get; then
  packages=$(missing_packages apt)
  if [ "$(id -u)" = 0 ] && [ "$scope" = all ]; then
    # Wanted, not needed: the build fetches an OpenBLAS from PyPI too.
    have_openblas || packages="$packages libopenblas0-pthread"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$packages" ] || install_with_apt $packages
    packages=$(missing_packages apt)
    [ -z "$packages" ] || fail "still missing, or too old, after the installation: $packages (CMake must be $cmake_needed or newer)"
  else
    [ -z "$packages" ] || fail "some packages are missing; install them as root with: apt-get install $packages"
  fi
elif have_command brew; then
  packages=$(missing_packages brew)
  [ -z "$packages" ] || fail "some packages are missing; install them with: brew install $packages"
elif have_command dnf; then
  packages=$(missing_packages dnf)
  [ -z "$packages" ] || fail "some packages are missing; install them as root with: dnf install $packages"
elif have_command pacman; then
  packages=$(missing_packages pacman)
  [ -z "$packages" ] || fail "some packages are missing; install them as root with: pacman -S $packages"
else
  packages=$(missing_packages apt)
  [ -z "$packages" ] || fail "some packages are missing; their Debian names are: $packages (on macOS install Homebrew first)"
fi

if [ "$scope" = all ]; then
  case $(command -v brew || command -v dnf || command -v pacman) in
    */brew | */pacman) cargo_package=rust ;;
    */dnf) cargo_package=cargo ;;
    *) cargo_package=cargo-web ;;
  esac
  want_cargo "$cargo_package"
fi

printf 'complete\n' >"$stamp.partial"
mv "$stamp.partial" "$stamp"
