"""Pairs of small and large luma pictures to train on, held in memory.

Luma is BT.601 at full range, 0..255, as Pillow's mode YCbCr has it; a small picture is Pillow's bicubic reduction of the RGB
picture. The picture is what the network should give back; its reduction is what the network sees.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pictures import luma, pictures

# Photographs of 2,000 pixels and more are smooth at full size; reduced they are as sharp as what people enlarge.
REDUCTIONS = (1.0, 0.7, 0.5, 0.35)
# Below this width a picture is used at its own size only.
LARGE = 1300
# The grid, in small pixels, on which patches are drawn; finer than a patch, coarse enough for a short table.
CELL = 16


def pair(picture: Image.Image, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """(small, large) luma of an RGB picture, cropped at the right and bottom to a multiple of `scale`."""
    width, height = picture.width // scale, picture.height // scale
    large = picture.crop((0, 0, width * scale, height * scale))
    return luma(large.resize((width, height), Image.Resampling.BICUBIC)), luma(large)


class Pairs:
    """Aligned pictures, from which patches are drawn with a probability that follows their gradient."""

    def __init__(self, scale: int, seed: int) -> None:
        self.scale = scale
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.groups: list[tuple[float, list[tuple[np.ndarray, np.ndarray]], np.ndarray]] = []

    def add(self, share: float, pairs: list[tuple[np.ndarray, np.ndarray]], gradient_power: float = 0.75) -> None:
        """Add pictures that `share` (relative to the other groups) of the patches come from."""
        table = []
        for index, (small, _) in enumerate(pairs):
            values = small.astype(np.float32)
            gradient = np.zeros_like(values)
            gradient[:, 1:] += np.abs(np.diff(values, axis=1))
            gradient[1:] += np.abs(np.diff(values, axis=0))
            rows, columns = small.shape[0] // CELL, small.shape[1] // CELL
            cells = gradient[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).mean((1, 3))
            y, x = np.mgrid[:rows, :columns] * CELL
            # The constant lets flat areas be seen at all: a network that never sees one may paint a pattern there.
            table.append(
                np.stack([np.full(cells.size, index), y.ravel(), x.ravel(), (cells.ravel() + 0.5) ** gradient_power])
            )
        joined = np.concatenate(table, axis=1)
        joined[3] = np.cumsum(joined[3]) / joined[3].sum()
        self.groups.append((share, pairs, joined))

    def add_pictures(self, share: float, folder: Path) -> None:
        """Add the pictures of a folder, large ones also reduced."""
        pairs = []
        for path in pictures(folder):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            for reduction in REDUCTIONS if picture.width > LARGE else (1.0,):
                size = (round(picture.width * reduction), round(picture.height * reduction))
                reduced = picture if reduction == 1.0 else picture.resize(size, Image.Resampling.LANCZOS)
                pairs.append(pair(reduced, self.scale))
        self.add(share, pairs)

    def add_compressed(self, share: float, folder: Path) -> None:
        """Add the clips that compress.py made: files with `low` uint8 [n, h, w] and `high` [n, scale*h, scale*w]."""
        pairs = []
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as clip:
                low, high = clip["low"], clip["high"]
            if high.shape[1] != low.shape[1] * self.scale:
                raise SystemExit(f"{path}: made for another factor; run compress.py with --scale {self.scale}")
            pairs += list(zip(low, high))
        if not pairs:
            raise SystemExit(f"{folder}: no clips (*.npz) in this folder; compress.py makes them")
        self.add(share, pairs)

    def batch(self, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`count` random pairs: float32 [count, 1, size, size] and [count, 1, scale*size, scale*size], 0..1."""
        scale, random = self.scale, self.random
        low = np.empty((count, 1, size, size), np.uint8)
        high = np.empty((count, 1, size * scale, size * scale), np.uint8)
        shares = np.array([share for share, _, _ in self.groups])
        chosen = random.choice(len(self.groups), size=count, p=shares / shares.sum())
        for n in range(count):
            _, pairs, table = self.groups[chosen[n]]
            index, y, x, _ = table[:, min(np.searchsorted(table[3], random.random()), table.shape[1] - 1)]
            small, large = pairs[int(index)]
            # The patch is centred on the cell, shifted at random, and kept inside the picture.
            offset = random.integers(-CELL // 2, CELL // 2 + 1, 2) + (CELL - size) // 2
            top = int(np.clip(y + offset[0], 0, small.shape[0] - size))
            left = int(np.clip(x + offset[1], 0, small.shape[1] - size))
            turns, flip = random.integers(4), random.integers(2)
            a = np.rot90(small[top : top + size, left : left + size], turns)
            b = np.rot90(large[top * scale : (top + size) * scale, left * scale : (left + size) * scale], turns)
            low[n, 0], high[n, 0] = (a[:, ::-1], b[:, ::-1]) if flip else (a, b)
        return torch.from_numpy(low).float() / 255, torch.from_numpy(high).float() / 255
