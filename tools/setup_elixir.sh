#!/usr/bin/env bash
# Sees to it that the machine has Elixir and Erlang, with Erlang's headers, in versions that the Elixir package accepts.
# usage: tools/setup_elixir.sh STAMP     writes the file STAMP when they are there; else says why not and ends with 1
# As root on Debian or Ubuntu it installs them. Debian 12's are too old: there they come from the next release, through a
# source of low priority beside those that the machine has, so that nothing else is taken from it unasked.
set -euo pipefail

stamp=${1:?usage: tools/setup_elixir.sh STAMP}
elixir_needed=1.17
otp_needed=26
[ ! -e "$stamp" ] || [ "$0" -nt "$stamp" ] || exit 0
mkdir -p "$(dirname "$stamp")"
log=$(dirname "$stamp")/setup_elixir.log

say() { printf '   %s\n' "$*"; }
fail() {
  say "the Elixir part is left out: $*"
  exit 1
}

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; } # VERSION NEEDED

erlang() { erl -noshell -eval "io:put_chars($1), halt()." 2>/dev/null; }

have_elixir() {
  command -v mix >/dev/null 2>&1 && command -v erl >/dev/null 2>&1 || return 1
  at_least "$(erlang 'erlang:system_info(otp_release)')" "$otp_needed" || return 1
  at_least "$(elixir -e 'IO.write(System.version())' 2>/dev/null)" "$elixir_needed" || return 1
  local include
  include=$(erlang 'code:root_dir()')/erts-$(erlang 'erlang:system_info(version)')/include
  [ -e "$include/erl_nif.h" ] || [ -e "$(erlang 'code:root_dir()')/usr/include/erl_nif.h" ]
}

finish() {
  printf 'complete\n' >"$stamp"
  exit 0
}

candidate() { apt-cache policy elixir 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9.]*[0-9]\).*/\1/p'; }

all_of() { # FILE...
  local file
  for file in "$@"; do
    [ ! -e "$file" ] || { cat "$file" && echo; }
  done
}

# The machine's own source of RELEASE as a source of NEXT: the one-line form, and below it the one of stanzas (deb822).
source_lines() { # RELEASE NEXT
  all_of /etc/apt/sources.list /etc/apt/sources.list.d/*.list | awk -v release="$1" -v next_release="$2" '
    $1 == "deb" {
      line = $0; options = ""
      if (match(line, /\[[^]]*\] */)) { options = substr(line, RSTART, RLENGTH); sub(/\[[^]]*\] */, "", line) }
      split(line, word, " ")
      if (word[3] == release && word[2] !~ /^cdrom:/) { print "deb " options word[2] " " next_release " main"; release = "" }
    }'
}
source_stanza() { # RELEASE NEXT
  all_of /etc/apt/sources.list.d/*.sources | awk -v release="$1" -v next_release="$2" '
    function flush_stanza() {
      if (found && binary && !disabled && !printed) {
        printf "Types: deb\nSuites: %s\nComponents: main\n%s", next_release, kept
        printed = 1
      }
      kept = ""; field = ""; found = binary = disabled = 0
    }
    /^[ \t]*$/ { flush_stanza(); next }
    /^#/ { next }
    {
      if ($0 !~ /^[ \t]/) { field = tolower($1) }
      if (field == "types:") { if ($0 ~ /(^|[ \t])deb([ \t]|$)/) binary = 1 }
      else if (field == "suites:") { for (i = 1; i <= NF; i++) if ($i == release) found = 1 }
      else if (field == "enabled:") { if (tolower($2) ~ /^(no|false|0)$/) disabled = 1 }
      else if (field != "components:" && field !~ /^x-/) { kept = kept $0 "\n" }
    }
    END { flush_stanza() }'
}

add_next_release() { # RELEASE NEXT
  local name=/etc/apt/sources.list.d/$2-for-elixir text
  if text=$(source_stanza "$1" "$2") && [ -n "$text" ]; then
    printf '%s\n' "$text" >"$name.sources"
  elif text=$(source_lines "$1" "$2") && [ -n "$text" ]; then
    printf '%s\n' "$text" >"$name.list"
  else
    fail "no source of $1 was found among those of apt"
  fi
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n' "$2" >"/etc/apt/preferences.d/$2-for-elixir"
}

install() { # OPTION...
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" elixir erlang-dev >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "apt-get could not install elixir and erlang-dev (the whole output is in $log)"
  }
}

install_with_apt() {
  : >"$log"
  at_least "$(candidate)" "$elixir_needed" || apt-get update -q >>"$log" 2>&1 || true
  # shellcheck disable=SC1091
  local release next=trixie
  release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  if at_least "$(candidate)" "$elixir_needed"; then
    say "installing elixir and erlang-dev"
    install
    return
  fi
  # The next release's base-files, once installed, calls the machine by its name.
  if [ "$release" != bookworm ] && [ ! -e "/etc/apt/preferences.d/$next-for-elixir" ]; then
    fail "apt offers Elixir $(candidate), and $elixir_needed is needed"
  fi
  say "apt offers Elixir $(candidate), and $elixir_needed is needed: taking elixir and erlang-dev, with what they depend on"
  say "(the C library too), from $next; its source stays with priority 50, so that nothing else comes from it"
  add_next_release bookworm "$next"
  apt-get update -q >>"$log" 2>&1 || true
  install -t "$next"
}

how_to() {
  if command -v brew >/dev/null 2>&1; then
    echo "brew install elixir"
  elif command -v dnf >/dev/null 2>&1; then
    echo "dnf install elixir erlang-erts"
  elif command -v pacman >/dev/null 2>&1; then
    echo "pacman -S elixir"
  else
    echo "the packages elixir and erlang-dev, or elixir-lang.org's"
  fi
}

have_elixir && finish
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  install_with_apt
  have_elixir && finish
  fail "still no Elixir $elixir_needed and OTP $otp_needed with erl_nif.h after the installation (see $log)"
fi
fail "Elixir $elixir_needed or newer and Erlang/OTP $otp_needed or newer with its headers are needed: $(how_to)"
