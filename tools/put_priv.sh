#!/bin/sh
# Puts the NIF, with the libraries that it needs, into a folder, unless it lies there.
# usage: tools/put_priv.sh BUILD_FOLDER PRIV
# PRIV is replaced as a whole, so that an interrupted run leaves the old one.
set -eu

build=$(cd "$1" && pwd)
priv=$2
partial=$priv.partial
old=$priv.old
# As tools/mix/prebuilt.exs says of archives, PRIV/origin says where its contents came from.
origin="built $(printf %s "$build" | cksum)"

rm -rf "$partial"
[ ! -e "$priv" ] || rm -rf "$old"
if [ "$(cat "$priv/origin" 2>/dev/null)" = "$origin" ] &&
  [ -z "$(find "$build/lib" "$build/build.ninja" -newer "$priv/origin" ! -type d)" ]; then
  exit 0
fi

for part in runtime nif; do
  cmake --install "$build" --component $part --prefix "$partial" >"$build/install.log" || {
    rm -rf "$partial"
    exit 1
  }
done
printf '%s\n' "$origin" >"$partial/origin"

trap '' HUP INT TERM # between the two renames there is none
[ ! -e "$priv" ] || mv "$priv" "$old"
mv "$partial" "$priv"
rm -rf "$old"
