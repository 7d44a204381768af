#!/usr/bin/env python3
"""Copies the licences of the crates that a Rust library is made of, and of Rust itself, into a folder.

usage: tools/crate_licenses.py CARGO_TOML FOLDER
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

TEXT = re.compile(r"(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked(metadata):
    """The packages that end up in the library: no build scripts, macros of procedures or tests' own."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    seen, left = set(), [metadata["resolve"]["root"]]
    while left:
        name = left.pop()
        if name in seen or any("proc-macro" in target["kind"] for target in packages[name]["targets"]):
            continue
        seen.add(name)
        for dependency in nodes[name]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    seen.discard(metadata["resolve"]["root"])
    return sorted((packages[name] for name in seen), key=lambda package: (package["name"], package["version"]))


def texts(folder):
    return sorted(path for path in folder.iterdir() if path.is_file() and TEXT.match(path.name)) if folder.is_dir() else []


def main(manifest, folder):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    host = re.search(r"^host: (.*)$", output("rustc", "-vV"), re.MULTILINE)[1]
    metadata = json.loads(
        output("cargo", "metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host, "--manifest-path", manifest)
    )
    lines = []
    for package in linked(metadata):
        name = f"{package['name']}-{package['version']}"
        found = texts(pathlib.Path(package["manifest_path"]).parent)
        for text in found:
            (folder / name).mkdir(exist_ok=True)
            shutil.copyfile(text, folder / name / text.name)
        authors = "" if found else f"; by {', '.join(package['authors']) or 'its authors'}, who packed no text of it"
        lines.append(f"{name}: {package['license'] or 'see its text'}{authors}")
    lines.append(f"Rust's standard library ({output('rustc', '--version').split()[1]}): MIT or Apache-2.0; by the Rust project")
    (folder / "LIST").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
