#!/usr/bin/env python3
"""Checks who includes whom in native/: folders are layers, and a folder includes only what stands above it.
Checks also that lib/core/, which is compiled without Nx too, names nothing of Nx and nothing of lib/nx/; nor lib/nx/ of Axon.

usage: tools/check_layers.py [ROOT]     ROOT defaults to the repository
Prints one line per violation; the exit status is 1 if there is any.
"""

import pathlib
import re
import sys

# From the lowest layer up. A layer may include itself, any layer before it, and the public headers.
LAYERS = ["files", "text", "kernels", "mlxc", "tensor", "ops", "program", "api", "transforms", "nn", "io", "llm"]

# Folders of lib/ from the lowest up, each with what has to be there beside those before it.
ROOMS = [("core", ""), ("nx", "Nx"), ("axon", "Axon")]

# Folders of native/ beside src/ and include/ that nothing else may include.
LEAVES = ["nif", "cli", "tests", "bench", "fuzz", "examples"]

# The one list of function signatures that the core and the bundled mlx-c share.
SHARED_WITH_BUNDLED = "mlxc/functions.def"

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
# Elixir's text in heredocs, strings and comments, where any module may be named.
ELIXIR_TEXT = re.compile(r'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\])*"|#[^\n]*', re.DOTALL)
MODULE = re.compile(r"^\s*defmodule\s+([A-Z][\w.]*)", re.MULTILINE)
SUFFIXES = {".h", ".hpp", ".cpp", ".cc", ".def", ".inc"}


def place_of(path):
    """The layer or leaf a file of native/ belongs to: ("src", "ops"), ("cli", ""), ..."""
    top = path.parts[0]
    if top == "src":
        return top, path.parts[1] if len(path.parts) > 2 else ""
    return top, ""


def include_violation(path, text, quoted):
    """Why the file `path` (relative to native/) must not include `text`, or None."""
    top, layer = place_of(path)
    if ".." in pathlib.PurePosixPath(text).parts:
        return "includes are written from the include root, without '..'"
    if text == "erl_nif.h" and top != "nif":
        return "only nif/ includes erl_nif.h"
    if text.startswith("mlx/c/"):
        tested = top == "tests" and path.parts[1] in ("mlxc", "bundled_mlxc")
        if not (top in ("bundled_mlxc", "mlx_hooks") or (top, layer) == ("src", "mlxc") or tested):
            return "only src/mlxc, bundled_mlxc and mlx_hooks include mlx/c headers"
        return None
    if text.startswith("mlx/"):
        cpp = ("bundled_mlxc", "mlx_hooks")
        return None if top in cpp else "only bundled_mlxc and mlx_hooks include the MLX C++ API"
    if not quoted or text.startswith("mlxnx/"):
        return None

    if top == "include":
        return "a public header includes only public headers and libraries"
    if top == "examples":
        return "an example includes only public headers and libraries"
    head = text.split("/")[0] if "/" in text else ""
    if head in LEAVES and head != top:
        return f"{head}/ is a leaf"
    if top == "bundled_mlxc":
        if head in LAYERS and text != SHARED_WITH_BUNDLED:
            return f"bundled_mlxc includes nothing of the core but {SHARED_WITH_BUNDLED}"
        return None
    if top == "src" and head in LAYERS and layer in LAYERS:
        if LAYERS.index(head) > LAYERS.index(layer):
            return f"src/{layer} stands below src/{head}"
    return None


def token_violation(path, text):
    """Why the contents of `path` break a rule that is not about includes, or None."""
    if "MLXNX_MLXC_PROVIDER" in text and place_of(path) != ("src", "mlxc"):
        return "only src/mlxc may tell which mlx-c it got"
    return None


def unlisted_sources(native):
    """Source files that the CMakeLists.txt of their folder, or of one above it, does not name."""
    for source in sorted(native.rglob("*.cpp")):
        folder, listed = source.parent, False
        while not listed and folder != native.parent:
            lists = folder / "CMakeLists.txt"
            if lists.exists():
                name = source.relative_to(folder).as_posix()
                text = lists.read_text()
                listed = re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w.])", text) is not None
                # Examples are named without their suffix.
                stem = re.escape(name[: -len(".cpp")])
                listed = listed or re.search(rf"mlxnx_\w+\({stem}[ )]", text) is not None
            folder = folder.parent
        if not listed:
            yield source


def blank(found):
    """As many empty lines as the match had, so that line numbers stay."""
    return "\n" * found[0].count("\n")


def defined(root, room):
    """The modules of a folder of lib/."""
    return {m for file in (root / "lib" / room).rglob("*.ex") for m in MODULE.findall(file.read_text(encoding="utf-8"))}


def room_violations(root):
    """What a folder of lib/ names although it stands below it."""
    for number, (room, _) in enumerate(ROOMS):
        for above, needed in ROOMS[number + 1 :]:
            names = "|".join([needed, *map(re.escape, sorted(defined(root, above)))])
            # A struct's tag is an atom like any other, so `__struct__: Mlx.Backend` needs no Mlx.Backend.
            named = re.compile(r"(?<![\w.:])(?<!__struct__: )(" + names + r")(?!\w)")
            for file in sorted((root / "lib" / room).rglob("*.ex")):
                code = ELIXIR_TEXT.sub(blank, file.read_text(encoding="utf-8"))
                for match in named.finditer(code):
                    line = code.count("\n", 0, match.start()) + 1
                    shown = f"{file.relative_to(root)}:{line}"
                    yield f"{shown}: names {match[1]}: lib/{room} is compiled without {needed} and lib/{above}"


def violations(root):
    yield from room_violations(root)
    native = root / "native"
    for file in sorted(p for p in native.rglob("*") if p.suffix in SUFFIXES):
        path = file.relative_to(native)
        shown = file.relative_to(root)
        text = file.read_text(encoding="utf-8")
        if path.parts[0] == "src" and len(path.parts) > 2 and path.parts[1] not in LAYERS:
            yield f"{shown}: src/{path.parts[1]} is not a known layer; name it in tools/check_layers.py"
        for match in INCLUDE.finditer(text):
            reason = include_violation(path, match.group(2), match.group(1) == '"')
            if reason:
                line = text.count("\n", 0, match.start(2)) + 1
                yield f"{shown}:{line}: includes {match.group(2)}: {reason}"
        reason = token_violation(path, text)
        if reason:
            yield f"{shown}: {reason}"
    for source in unlisted_sources(native):
        yield f"{source.relative_to(root)}: no CMakeLists.txt names this file, so it is not built"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent
    found = list(violations(root.resolve()))
    for violation in found:
        print(violation)
    print(f"layer check: {len(found)} violation{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
