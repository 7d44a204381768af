#!/usr/bin/env python3
"""Selects a small golden folder out of a large one: for each op the smallest calls of different operand types and ranks.

usage: select_golden.py SOURCE TARGET [--per-op N]

The format of both folders: ops.jsonl, one call a line, tensors as {"type", "shape", "at"}; ops.bin, their bytes.
"""

import argparse
import json
import pathlib

ALIGNMENT = 16
BYTES = {"u8": 1, "s8": 1, "u16": 2, "s16": 2, "f16": 2, "bf16": 2, "u32": 4, "s32": 4, "f32": 4,
         "u64": 8, "s64": 8, "f64": 8, "c64": 8}


def byte_size(tensor):
    size = BYTES[tensor["type"]]
    for dim in tensor["shape"]:
        size *= dim
    return size


def signature(call):
    """What makes two calls different in kind: types and ranks of the operands, names and kinds of the attributes."""
    operands = tuple((t["type"], len(t["shape"])) for t in call["in"])
    attributes = tuple((name, json.dumps(value)[:1]) for name, value in sorted(call["attrs"].items()))
    return operands, attributes


def select(calls, per_op):
    by_op = {}
    for call in calls:
        by_op.setdefault(call["op"], []).append(call)
    for op in sorted(by_op):
        ordered = sorted(by_op[op], key=lambda c: sum(map(byte_size, c["in"] + c["out"])))
        seen, first, rest = set(), [], []
        for call in ordered:
            (rest if signature(call) in seen else first).append(call)
            seen.add(signature(call))
        yield from (first + rest)[:per_op]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--per-op", type=int, default=16, help="most calls of one op")
    options = parser.parse_args()

    with (options.source / "ops.jsonl").open() as lines:
        calls = [json.loads(line) for line in lines]
    data = (options.source / "ops.bin").read_bytes()

    blob, places, lines = bytearray(), {}, []
    for call in select(calls, options.per_op):
        for tensor in call["in"] + call["out"]:
            part = data[tensor["at"]:tensor["at"] + byte_size(tensor)]
            if part not in places:
                blob += b"\0" * (-len(blob) % ALIGNMENT)
                places[part] = len(blob)
                blob += part
            tensor["at"] = places[part]
        lines.append(json.dumps(call, separators=(",", ":")))

    options.target.mkdir(parents=True, exist_ok=True)
    (options.target / "ops.jsonl").write_text("\n".join(lines) + "\n")
    (options.target / "ops.bin").write_bytes(bytes(blob))
    print(f"{len(lines)} calls, {len(blob)} bytes of tensors")


if __name__ == "__main__":
    main()
