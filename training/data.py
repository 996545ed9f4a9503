"""Pairs of small and large luma pictures to train on.

Luma is BT.601 at full range, 0..255, as in Pillow's YCbCr mode. The large picture is the target; the network's input is
a downscaled copy. Only large pictures are kept in memory: each patch is downscaled when it is sampled, with a random
kernel (`degradation.py`), so the same place never gives the same patch twice, and the sampling grid may start at any
pixel.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from degradation import Degradation
from pictures import luma, pictures

# Photographs of 2,000 pixels and more are smooth at full size; downscaled, they are as sharp as typical sources.
REDUCTIONS = (1.0, 0.7, 0.5, 0.35)
# Below this width a picture is used at its own size only.
LARGE = 1300
# The grid, in small pixels, on which patches are drawn; finer than a patch, coarse enough for a short table.
CELL = 16
# Patches are sampled in proportion to this power of their mean gradient.
GRADIENT_POWER = 0.75


def pair(
    picture: Image.Image, scale: int, filter_: Image.Resampling = Image.Resampling.BICUBIC
) -> tuple[np.ndarray, np.ndarray]:
    """(small, large) luma of an RGB picture, cropped to a multiple of `scale` at the right and bottom, to evaluate."""
    width, height = picture.width // scale, picture.height // scale
    large = picture.crop((0, 0, width * scale, height * scale))
    return luma(large.resize((width, height), filter_)), luma(large)


def cells(picture: np.ndarray, cell: int) -> np.ndarray:
    """Mean absolute gradient of an 8-bit picture in each square of `cell` pixels, [rows, columns]."""
    values = picture.astype(np.float32)
    gradient = np.zeros_like(values)
    gradient[:, 1:] += np.abs(np.diff(values, axis=1))
    gradient[1:] += np.abs(np.diff(values, axis=0))
    rows, columns = picture.shape[0] // cell, picture.shape[1] // cell
    return gradient[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean((1, 3))


class Group:
    """Pictures that supply a share of the patches, and a sampling table: [picture, y, x, cumulative probability]."""

    def __init__(self, share: float, large: list[np.ndarray], small: list[np.ndarray] | None, cell: int) -> None:
        self.share, self.large, self.small = share, large, small
        table = []
        for index, picture in enumerate(large):
            gradient = cells(picture, cell)
            y, x = np.mgrid[: gradient.shape[0], : gradient.shape[1]] * cell
            # The constant ensures that flat areas are sampled at all: otherwise the network may produce patterns there.
            weight = (gradient.ravel() + 0.5) ** GRADIENT_POWER
            table.append(np.stack([np.full(gradient.size, index), y.ravel(), x.ravel(), weight]))
        self.table = np.concatenate(table, axis=1)
        self.table[3] = np.cumsum(self.table[3]) / self.table[3].sum()

    def draw(self, random: np.random.Generator) -> tuple[int, int, int]:
        """A random cell: the picture's index and the cell's top left corner (y, x) in large pixels."""
        index, y, x, _ = self.table[:, min(np.searchsorted(self.table[3], random.random()), self.table.shape[1] - 1)]
        return int(index), int(y), int(x)


class Pairs:
    """Groups of pictures, from which patches are sampled; detailed places come more often."""

    def __init__(self, scale: int, seed: int) -> None:
        self.scale = scale
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.degradation = Degradation(scale)
        self.groups: list[Group] = []

    def add_pictures(self, share: float, folder: Path) -> None:
        """Add the pictures of a folder, large ones also downscaled, with a relative `share` of the patches."""
        large = []
        for path in pictures(folder):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            for reduction in REDUCTIONS if picture.width > LARGE else (1.0,):
                size = (round(picture.width * reduction), round(picture.height * reduction))
                large.append(luma(picture if reduction == 1.0 else picture.resize(size, Image.Resampling.LANCZOS)).copy())
        self.groups.append(Group(share, large, None, CELL * self.scale))

    def add_compressed(self, share: float, folder: Path) -> None:
        """Add the clips that compress.py made: files with `low` uint8 [n, h, w] and `high` [n, scale*h, scale*w]."""
        small: list[np.ndarray] = []
        large: list[np.ndarray] = []
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as clip:
                low, high = clip["low"], clip["high"]
            if high.shape[1] != low.shape[1] * self.scale:
                raise SystemExit(f"{path}: made for another factor; run compress.py with --scale {self.scale}")
            small += list(low)
            large += list(high)
        if not small:
            raise SystemExit(f"{folder}: no clips (*.npz) in this folder; compress.py makes them")
        self.groups.append(Group(share, large, small, CELL * self.scale))

    def place(self, corner: tuple[int, int], size: int, shape: tuple[int, ...]) -> list[int]:
        """Top left corner (y, x) of a window of `size` large pixels around a cell, shifted randomly within `shape`."""
        cell = CELL * self.scale
        offset = self.random.integers(-cell // 2, cell // 2 + 1, 2) + (cell - size) // 2
        return [int(np.clip(corner[axis] + offset[axis], 0, shape[axis] - size)) for axis in (0, 1)]

    def batch(self, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`count` random pairs: float32 [count, 1, size, size] and [count, 1, scale*size, scale*size], 0..1."""
        scale, random, margin = self.scale, self.random, self.degradation.margin
        outer = size * scale + 2 * margin
        windows = np.zeros((count, outer, outer), np.uint8)
        given: dict[int, np.ndarray] = {}
        shares = np.array([group.share for group in self.groups])
        chosen = random.choice(len(self.groups), size=count, p=shares / shares.sum())
        for n in range(count):
            group = self.groups[chosen[n]]
            index, *corner = group.draw(random)
            large = group.large[index]
            turns, flip = random.integers(4), random.integers(2)
            if group.small is None:
                top, left = self.place((corner[0], corner[1]), outer, large.shape)
                window = rotated(large[top : top + outer, left : left + outer], turns, flip)
                windows[n] = window
            else:
                top, left = (side // scale for side in self.place((corner[0], corner[1]), size * scale, large.shape))
                given[n] = rotated(group.small[index][top : top + size, left : left + size], turns, flip)
                inner = large[top * scale : (top + size) * scale, left * scale : (left + size) * scale]
                windows[n, margin:-margin, margin:-margin] = rotated(inner, turns, flip)
        low = self.degradation(windows, random)
        for n, small in given.items():
            low[n] = torch.from_numpy(small.astype(np.float32))
        high = torch.from_numpy(windows[:, margin:-margin, margin:-margin].astype(np.float32))
        return low[:, None] / 255, high[:, None] / 255


def rotated(patch: np.ndarray, turns: int, flip: int) -> np.ndarray:
    """A patch rotated by `turns` right angles, and mirrored if `flip`."""
    patch = np.rot90(patch, turns)
    return patch[:, ::-1] if flip else patch
