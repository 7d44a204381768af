#!/usr/bin/env python3
"""Checks that the code blocks of the Markdown files are the examples that the tests build and run.

A block that follows the comment `<!-- FILE -->` must be FILE, less the comment at its head. `--fix` writes the blocks.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md"]
BLOCK = re.compile(r"(<!-- (?P<file>[\w./-]+) -->\n```\w*\n)(?P<code>.*?)(```)", re.DOTALL)


def example(name):
    """The file without the comment lines at its head."""
    lines = (ROOT / name).read_text().splitlines(keepends=True)
    while lines and (lines[0].startswith("//") or not lines[0].strip()):
        lines.pop(0)
    return "".join(lines)


def main():
    fix = "--fix" in sys.argv[1:]
    stale = []
    for document in DOCUMENTS:
        path = ROOT / document
        text = path.read_text()
        blocks = BLOCK.findall(text)
        if not blocks:
            raise SystemExit(f"{document}: no block names the example it shows")
        fresh = BLOCK.sub(lambda found: found[1] + example(found["file"]) + found[4], text)
        if fresh == text:
            print(f"{document}: {len(blocks)} blocks are the examples they name")
        elif fix:
            path.write_text(fresh)
            print(f"{document}: written")
        else:
            stale.append(document)
    if stale:
        raise SystemExit(f"{', '.join(stale)}: a block differs from its example (tools/check_readme.py --fix)")


if __name__ == "__main__":
    main()
