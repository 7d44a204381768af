#!/usr/bin/env python3
"""Selects a small golden folder out of a large one: for each op the smallest calls of different operand types and ranks,
or, of recorded programs, the smallest ones that have something about them which those before have not.

usage: select_golden.py SOURCE TARGET [--per-op N] [--lists LIST...]

The formats are in the README.md of native/tests/golden, golden_programs and golden_nn.
"""

import argparse
import json
import pathlib

ALIGNMENT = 16
BYTES = {"bool": 1, "u8": 1, "s8": 1, "u16": 2, "s16": 2, "f16": 2, "bf16": 2, "u32": 4, "s32": 4, "f32": 4,
         "u64": 8, "s64": 8, "f64": 8, "c64": 8}


def byte_size(tensor):
    size = BYTES[tensor["type"]]
    for dim in tensor["shape"]:
        size *= dim
    return size


def is_tensor(value):
    return isinstance(value, dict) and value.keys() == {"type", "shape", "at"}


def tensors_of(value):
    """All tensors in a line of a list."""
    if is_tensor(value):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_of(part)


def kinds_of(attrs):
    """Names and kinds of attributes."""
    return tuple((name, json.dumps(value)[:1]) for name, value in sorted(attrs.items()))


def signature(call):
    """What makes two calls different in kind: types and ranks of the operands, names and kinds of the attributes."""
    operands = tuple((t["type"], len(t["shape"])) if t else None for t in call.get("in", []))
    options = call["attrs"] if "attrs" in call else {**call.get("args", {}), **call.get("call", {})}
    return operands, kinds_of(options), "grads" in call, "note" in call


def select(calls, per_op):
    by_op = {}
    for call in calls:
        by_op.setdefault(call["op"] if "op" in call else (call["kind"], call["name"]), []).append(call)
    for op in sorted(by_op):
        ordered = sorted(by_op[op], key=lambda c: sum(map(byte_size, tensors_of(c))))
        seen, first, rest = set(), [], []
        for call in ordered:
            (rest if signature(call) in seen else first).append(call)
            seen.add(signature(call))
        yield from (first + rest)[:per_op]


def instructions_of(region):
    """The instructions of a program, those of nested regions too."""
    for instruction in region["instructions"]:
        yield instruction
        for nested in instruction.get("regions", []):
            yield from instructions_of(nested)


def read_program(path):
    """A program's structure (docs/program_format.md)."""
    data = path.read_bytes()
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["program"])


def traits(case, program):
    """What a case of a program tries: each op with its type, the kinds of its attributes, and what the line tells."""
    yield "inputs", tuple((t["type"], len(t["shape"])) for t in case["in"])
    for instruction in instructions_of(program):
        types = tuple(type.split("[")[0] for type in instruction["outputs"])
        yield instruction["op"], types, kinds_of(instruction.get("attrs", {}))
        for key in case:
            yield instruction["op"], key


def select_programs(cases, source):
    seen = set()
    programs = {case["program"]: read_program(source / case["program"]) for case in cases}
    for case in sorted(cases, key=lambda c: (source / c["program"]).stat().st_size):
        tried = set(traits(case, programs[case["program"]]))
        if not tried <= seen:
            yield case
        seen |= tried


class Tensors:
    """The bytes of the tensors that were selected, equal ones once."""

    def __init__(self, data):
        self.data, self.blob, self.places = data, bytearray(), {}

    def take(self, tensor):
        part = self.data[tensor["at"]:tensor["at"] + byte_size(tensor)]
        if part not in self.places:
            self.blob += b"\0" * (-len(self.blob) % ALIGNMENT)
            self.places[part] = len(self.blob)
            self.blob += part
        tensor["at"] = self.places[part]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--per-op", type=int, default=16, help="most calls of one op")
    parser.add_argument("--lists", nargs="+", default=["programs.jsonl"], help="lists of programs to select from")
    options = parser.parse_args()
    kind = next(kind for kind in ("programs", "cases", "ops") if (options.source / f"{kind}.bin").exists())
    of_programs = kind == "programs"
    lists = options.lists if of_programs else [f"{kind}.jsonl"]
    data = f"{kind}.bin"

    options.target.mkdir(parents=True, exist_ok=True)
    tensors = Tensors((options.source / data).read_bytes())
    count = 0
    for name in lists:
        with (options.source / name).open() as lines:
            cases = [json.loads(line) for line in lines]
        chosen = list(select_programs(cases, options.source) if of_programs else select(cases, options.per_op))
        for case in chosen:
            for tensor in tensors_of(case):
                tensors.take(tensor)
            if of_programs:
                program = (options.source / case["program"]).read_bytes()
                (options.target / case["program"]).write_bytes(program)
        lines = [json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in chosen]
        (options.target / name).write_text("\n".join(lines) + "\n")
        count += len(chosen)
    (options.target / data).write_bytes(bytes(tensors.blob))
    print(f"{count} lines, {len(tensors.blob)} bytes of tensors")


if __name__ == "__main__":
    main()
