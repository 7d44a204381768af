#!/usr/bin/env python3
"""Records what the Python package gguf makes of ggml's blocks, for native/tests/files.

usage: tools/record_ggml_blocks.py [FOLDER]     FOLDER defaults to native/tests/files/ggml_blocks

decoded.bin: blocks of each type, random ones and ones with extreme scales, and the f32 that they are decoded to.
encoded.bin: f32 of many kinds, and the blocks that they are encoded to.
Both are records, one behind the other: 8 bytes of the type's name, the number of blocks (8 bytes), the blocks, the f32.
Needs: pip install gguf numpy (recorded with 0.19.0 and 2.4.6)
"""

import pathlib
import sys

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

# Where the f16 of a block lie.
HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}
# Zeros, the ends of subnormal and of normal numbers, one, infinities, NaN.
EXTREME_HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0xBC00, 0x7BFF, 0x7C00, 0xFC00, 0x7E01]
# Where the scales of 8 bits of a block lie, and which are extreme.
EXTREME_BYTES = {
    "MXFP4": (1, [0, 1, 2, 126, 127, 128, 253, 254, 255]),
    "NVFP4": (4, [0, 1, 7, 8, 0x38, 0x7E, 0x7F, 0x80, 0x81, 0xB8, 0xFE, 0xFF]),
}


def blocks_of(name, generator):
    """Blocks of random bytes, of which some get extreme scales, and some usual ones."""
    per_block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    extremes = EXTREME_HALVES if name in HALVES else EXTREME_BYTES[name][1]
    usual = 16 if per_block < 256 else 4
    blocks = generator.integers(0, 256, (len(extremes) + usual, size), dtype=np.uint8)
    for i, block in enumerate(blocks):
        if name in EXTREME_BYTES:
            count = EXTREME_BYTES[name][0]
            block[:count] = np.roll(extremes, -i)[:count] if i < len(extremes) else block[:count] // 2
            continue
        for k, at in enumerate(HALVES[name]):
            if i < len(extremes):
                half = np.uint16(extremes[(i + 3 * k) % len(extremes)])
            else:
                half = np.float16(generator.standard_normal() / 100).view(np.uint16)
            block[at : at + 2] = np.frombuffer(half.tobytes(), np.uint8)
    return blocks


def elements_to_encode(generator):
    """Rows of 32: usual ones, ties, few, of one sign, equal, tiny, and as large as f16 allows."""
    usual = generator.standard_normal((24, 32)).astype(np.float32)
    few = np.where(generator.random((4, 32)) < 0.1, usual[:4], np.float32(0))
    halves = generator.integers(-255, 256, (8, 32)).astype(np.float32) / 2
    scales = np.float32(10.0) ** np.arange(-44, 5, 4, dtype=np.float32)
    scaled = usual[: len(scales)] * scales[:, None]
    rows = [usual, few, halves, abs(usual[:2]), -abs(usual[:2]), np.ones((1, 32)), np.zeros((1, 32)), scaled]
    return np.concatenate(rows).astype(np.float32)


def record(name, blocks, floats):
    assert blocks.dtype == np.uint8 and floats.dtype == np.float32
    return name.encode().ljust(8, b"\0") + np.uint64(len(blocks)).tobytes() + blocks.tobytes() + floats.tobytes()


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "native/tests/files/ggml_blocks"
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(14)
    np.seterr(all="ignore")
    decoded = b""
    for name in [*HALVES, *EXTREME_BYTES]:
        blocks = blocks_of(name, generator)
        decoded += record(name, blocks, dequantize(blocks, gguf.GGMLQuantizationType[name]))
    (folder / "decoded.bin").write_bytes(decoded)
    encoded = b""
    floats = elements_to_encode(generator)
    for name in ["Q8_0", "Q4_0", "Q4_1"]:
        encoded += record(name, quantize(floats, gguf.GGMLQuantizationType[name]), floats)
    (folder / "encoded.bin").write_bytes(encoded)


if __name__ == "__main__":
    main()
