"""Models how sources were made: downscaled by an unknown kernel, sometimes sharpened or noisy, rounded to 8 bits.

Kernels are separable, so downscaling a patch takes two matrix products. They are those of common programs, some with
random parameters, aligned as in Pillow, FFmpeg and GStreamer: the centres of the two pictures coincide. (With any other
alignment the target would be ambiguous.) Sub-pixel phases come from the sampling grid, which may start at any large
pixel.
"""

from collections.abc import Callable

import numpy as np
import torch

Kernel = Callable[[np.ndarray], np.ndarray]

# Radius of the widest kernel, in small pixels.
SUPPORT = 4
# Probability of each kernel. COMMON ones have fixed parameters, as in Pillow.
SHARES = {"bicubic": 0.2, "lanczos": 0.16, "bilinear": 0.16, "box": 0.2, "cubic": 0.08, "gaussian": 0.06, "blend": 0.14}
COMMON = ("bicubic", "lanczos", "bilinear", "box")
# Share of sharpened patches, and the largest amount.
SHARPENED, MAX_SHARPENING = 0.08, 0.25
# Share of noisy patches, and the largest standard deviation in 8-bit code values.
NOISY, MAX_NOISE = 0.1, 1.5


def box(x: np.ndarray) -> np.ndarray:
    """Mean of the covered pixels; "area" in other programs."""
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def bilinear(x: np.ndarray) -> np.ndarray:
    """Triangle of radius 1."""
    return np.maximum(1 - np.abs(x), 0)


def cubic(b: float, c: float) -> Kernel:
    """The cubics of Mitchell and Netravali (1988). Pillow's bicubic is b = 0, c = 0.5; FFmpeg's is b = 0, c = 0.6."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
        far = ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))

    return kernel


def lanczos(lobes: int) -> Kernel:
    """Sinc windowed to `lobes` lobes."""
    return lambda x: np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


def gaussian(sigma: float) -> Kernel:
    """Gaussian; `sigma` in small pixels."""
    return lambda x: np.exp(-0.5 * (x / sigma) ** 2)


class Degradation:
    """Downscales patches by `scale`, each with its own kernel."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        # Large pixels needed around a patch.
        self.margin = SUPPORT * scale
        taps = 2 * self.margin + scale
        # Positions of the large pixels relative to a small pixel's centre, in small pixels.
        self.where = (np.arange(taps) - (taps - 1) / 2) / scale

    def taps(self, kernel: Kernel) -> np.ndarray:
        """Weights of the large pixels around a small one; their sum is 1."""
        weights = kernel(self.where)
        return weights / weights.sum()

    def common(self, name: str) -> np.ndarray:
        """Taps of one of Pillow's kernels."""
        kernels = {"bicubic": cubic(0.0, 0.5), "lanczos": lanczos(3), "bilinear": bilinear, "box": box}
        return self.taps(kernels[name])

    def sample(self, random: np.random.Generator) -> np.ndarray:
        """Taps of a random kernel."""
        name = random.choice(list(SHARES), p=list(SHARES.values()))
        if name in COMMON:
            return self.common(name)
        if name == "cubic":
            return self.taps(cubic(random.uniform(0, 0.4), random.uniform(0.2, 0.75)))
        if name == "gaussian":
            return self.taps(gaussian(random.uniform(0.3, 0.55)))
        first, second = random.choice(COMMON, 2, replace=False)
        share = random.uniform(0, 1)
        return share * self.common(first) + (1 - share) * self.common(second)

    def matrices(self, taps: np.ndarray, size: int, sharpening: np.ndarray) -> torch.Tensor:
        """Matrices [n, size, size * scale + 2 * margin] that downscale (and sharpen) the columns of a window."""
        n, length = taps.shape
        width = size * self.scale + 2 * self.margin
        matrices = torch.zeros(n, size, width)
        # Row j holds the taps from column j * scale on.
        rows = matrices.as_strided((n, size, length), (size * width, width + self.scale, 1))
        rows.copy_(torch.from_numpy(taps.astype(np.float32))[:, None])
        if sharpening.any():
            # Unsharp masking along one axis: x + amount * (x - blurred x). The outermost rows are unchanged.
            amount = torch.from_numpy(sharpening.astype(np.float32))[:, None, None]
            inner = matrices[:, 1:-1]
            detail = inner - (matrices[:, :-2] + 2 * inner + matrices[:, 2:]) / 4
            matrices = torch.cat([matrices[:, :1], inner + 2 * amount * detail, matrices[:, -1:]], dim=1)
        return matrices

    def __call__(self, windows: np.ndarray, random: np.random.Generator) -> torch.Tensor:
        """Small patches, float32 [n, size, size] with integer values 0..255, from square uint8 windows [n, side, side].

        `side` is size * scale + 2 * margin.
        """
        n = len(windows)
        size = (windows.shape[1] - 2 * self.margin) // self.scale
        taps = np.stack([self.sample(random) for _ in range(n)])
        sharpening = random.uniform(0, MAX_SHARPENING, n) * (random.random(n) < SHARPENED)
        matrices = self.matrices(taps, size, sharpening)
        large = torch.from_numpy(windows.astype(np.float32))
        # As in Pillow: rows first, rounded to 8 bits between the passes, halves rounded up.
        small = torch.bmm(large, matrices.transpose(1, 2)).add_(0.5).floor_().clamp_(0, 255)
        small = torch.bmm(matrices, small)
        noise = random.uniform(0.2, MAX_NOISE, n) * (random.random(n) < NOISY)
        for index in np.flatnonzero(noise):
            small[index] += float(noise[index]) * torch.from_numpy(random.standard_normal((size, size), np.float32))
        return small.add_(0.5).floor_().clamp_(0, 255)
