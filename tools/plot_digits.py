#!/usr/bin/env python3
"""Draws what the example digits wrote: losses.png from losses.csv, and confusion.png from confusion.csv.

usage: plot_digits.py FOLDER     needs matplotlib
"""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402, after the choice of what draws


def rows(path):
    with path.open() as file:
        return list(csv.reader(file))


def draw_losses(folder):
    names, *values = rows(folder / "losses.csv")
    columns = [[float(value) for value in column] for column in zip(*values)]
    figure, axes = plt.subplots(figsize=(6, 4))
    for name, losses in zip(names[1:], columns[1:]):
        axes.semilogy(columns[0], losses, label=name)
    axes.set(xlabel="epoch", ylabel="cross entropy")
    axes.legend()
    figure.savefig(folder / "losses.png", dpi=150, bbox_inches="tight")


def draw_confusion(folder):
    counts = [[int(value) for value in row] for row in rows(folder / "confusion.csv")]
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.imshow(counts, cmap="Blues")
    for digit, row in enumerate(counts):
        for read, count in enumerate(row):
            if count:
                axes.text(read, digit, count, ha="center", va="center", color="white" if count > 18 else "black")
    axes.set(xlabel="read", ylabel="digit", xticks=range(10), yticks=range(10))
    figure.savefig(folder / "confusion.png", dpi=150, bbox_inches="tight")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    draw_losses(folder)
    draw_confusion(folder)
    print(f"{folder}/losses.png and {folder}/confusion.png are drawn")


if __name__ == "__main__":
    main()
