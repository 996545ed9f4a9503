#!/usr/bin/env python3
"""Render training pictures of kinds that are upscaled often and missing from folders of photographs.

    pip install -r training/requirements.txt
    apt install fonts-dejavu-core fonts-liberation2 fonts-noto-core fonts-hack fonts-comic-neue fonts-lato
    python3 training/render.py OUTPUT_FOLDER [--count N] [--seed S]
Five kinds in turn: text, line art, cartoons, gradients, screens. PNG, 1020x768 (a multiple of 2, 3 and 4), named by
number and kind. A picture depends only on the seed, its number, the fonts and Pillow's version: the same command writes
the same bytes again.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from render_drawn import cartoon, line_art, smooth
from render_screens import screen, text

KINDS = {"text": text, "line": line_art, "cartoon": cartoon, "gradient": smooth, "screen": screen}


def picture(number: int, seed: int) -> tuple[str, Image.Image]:
    """The kind and the RGB picture with this number."""
    kind = list(KINDS)[number % len(KINDS)]
    return kind, KINDS[kind](np.random.Generator(np.random.PCG64([seed, number])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=150, help="pictures to render (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        kind, rendered = picture(number, arguments.seed)
        rendered.save(arguments.output / f"{number:04}_{kind}.png", compress_level=4)
    print(f"{arguments.output}: {arguments.count} pictures")


if __name__ == "__main__":
    main()
