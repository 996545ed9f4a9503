#!/usr/bin/env python3
"""Measure models: PSNR and SSIM on a folder of pictures that no model was trained on.

    python3 training/evaluate.py PICTURES MODEL.onnx ...                quality and time of models
    python3 training/evaluate.py PICTURES MODEL.onnx ... --compressed   on H.264 video made from the pictures
    python3 training/evaluate.py PICTURES MODEL.onnx ... --bits 10      on input of 10 bits

Protocol: luma (BT.601 full range, as in Pillow's YCbCr mode); the picture is downscaled by each of four of Pillow's
filters, enlarged by the model with ONNX Runtime on the CPU, rounded to 8 bits and compared, without a border of 8
pixels. Results are means over the pictures; Pillow's bicubic and Lanczos are listed for comparison. With more bits, the
small picture's luma is computed in floats and rounded to that depth. Time: one 640x360 frame, two threads, median over
alternating runs of all models.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from compress import evaluation_clips
from data import pair
from pictures import pictures

# Pillow's filters that make the small picture.
KERNELS = {
    "bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS, "bilinear": Image.Resampling.BILINEAR,
}  # fmt: skip
BORDER = 8
THREADS = 2
COMPRESSED_CRF = (23, 28)
TURNS = 30
Enlarge = Callable[[np.ndarray], np.ndarray]


def psnr(a: np.ndarray, b: np.ndarray, border: int = BORDER) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures in dB, without `border` pixels on each side."""
    inner = np.s_[border:-border, border:-border]
    return float(10 * np.log10(255.0**2 / np.mean((a[inner].astype(np.float64) - b[inner]) ** 2)))


def ssim(a: np.ndarray, b: np.ndarray, border: int = BORDER) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11x11, sigma 1.5, K1 0.01, K2 0.03, 8 bits."""
    inner = np.s_[border:-border, border:-border]
    x, y = a[inner].astype(np.float64), b[inner].astype(np.float64)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(picture: np.ndarray) -> np.ndarray:
        height, width = (side - len(taps) + 1 for side in picture.shape)
        rows = sum(tap * picture[n : n + height] for n, tap in enumerate(taps))
        return sum(tap * rows[:, n : n + width] for n, tap in enumerate(taps))

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((numerator / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Floats 0..1 to uint8, rounded and clipped."""
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def clean_pairs(folder: Path, scale: int, filter_: Image.Resampling, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(small, large) luma of each picture; the small one as float32 in 8-bit steps, which are integers at 8 bits."""
    for path in pictures(folder):
        with Image.open(path) as opened:
            small, large = pair(opened.convert("RGB"), scale, filter_)
        if bits > 8:
            size = (small.shape[1], small.shape[0])
            floats = np.asarray(Image.fromarray(large.astype(np.float32)).resize(size, filter_))
            step = 255 / (2**bits - 1)
            small = np.clip(np.rint(floats / step) * step, 0, 255).astype(np.float32)
        yield small, large


def compressed_pairs(folder: Path, crf: int, scale: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(small as decoded, large) luma of every tenth frame of clips that pan over the pictures."""
    for low, high in evaluation_clips(folder, crf, scale):
        yield from zip(low[::10], high[::10])


def measured(models: list["Model"], scale: int, pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean (PSNR, SSIM) of every method that enlarges by `scale`, by name."""
    ways: dict[str, Enlarge] = {
        "bicubic": resize(Image.Resampling.BICUBIC, scale), "Lanczos": resize(Image.Resampling.LANCZOS, scale)
    } | {model.name: model for model in models}
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for small, large in pairs:
        for name, enlarge in ways.items():
            result = enlarge(small)
            figures[name].append((psnr(result, large), ssim(result, large)))
    return {name: np.mean(values, axis=0) for name, values in figures.items()}


def report(title: str, columns: dict[str, dict[str, np.ndarray]]) -> None:
    """Print PSNR for each column and their mean, and the mean SSIM."""
    print(f"\n{title:32}" + "".join(f"{column:>10}" for column in columns) + f"{'mean':>10}{'SSIM':>10}")
    for name in next(iter(columns.values())):
        figures = np.array([figures[name] for figures in columns.values()])
        text = "".join(f"{value:10.3f}" for value in figures[:, 0])
        print(f"{name:32}{text}{figures[:, 0].mean():10.3f}{figures[:, 1].mean():10.4f}", flush=True)


def resize(filter_: Image.Resampling, scale: int) -> Enlarge:
    """Pillow's enlargement of a picture."""

    def enlarge(low: np.ndarray) -> np.ndarray:
        result = np.asarray(Image.fromarray(low).resize((low.shape[1] * scale, low.shape[0] * scale), filter_))
        return result if result.dtype == np.uint8 else to_bytes(result / 255)

    return enlarge


class Model:
    """An ONNX model that enlarges luma, [h, w], 0..255, to uint8 [scale*h, scale*w]."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.name = path.stem
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.scale = self.run(np.zeros((1, 1, 32, 32), np.float32)).shape[2] // 32

    def run(self, tensor: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input: tensor})[0]

    def __call__(self, low: np.ndarray) -> np.ndarray:
        return to_bytes(self.run(low[None, None].astype(np.float32) / 255)[0, 0])


def times(models: list[Model], picture: np.ndarray) -> dict[str, float]:
    """Median milliseconds for `picture`, alternating between models, so that background load affects them alike."""
    tensor = picture[None, None].astype(np.float32) / 255
    taken: dict[str, list[float]] = {model.name: [] for model in models}
    for _ in range(TURNS):
        for model in models:
            # The first of the two runs warms the caches that the previous model has evicted.
            model.run(tensor)
            begun = time.perf_counter()
            model.run(tensor)
            taken[model.name].append(1000 * (time.perf_counter() - begun))
    return {name: float(np.median(values)) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--compressed", action="store_true", help="enlarge x264 video made from the pictures")
    parser.add_argument("--bits", type=int, default=8, help="bit depth of the small picture's luma (default: 8)")
    options = parser.parse_args()
    models = [Model(path) for path in options.models]
    for scale in sorted({model.scale for model in models} or {2}):
        same = [model for model in models if model.scale == scale]
        if options.compressed:
            columns = {f"crf {crf}": measured(same, scale, compressed_pairs(options.pictures, crf, scale)) for crf in COMPRESSED_CRF}
        else:
            columns = {
                name: measured(same, scale, clean_pairs(options.pictures, scale, filter_, options.bits))
                for name, filter_ in KERNELS.items()
            }
        report(f"x{scale}" + (", x264" if options.compressed else f", {options.bits} bits"), columns)
    if models and not options.compressed:
        # A real picture: networks with PReLU run faster on a blank one.
        with Image.open(pictures(options.pictures)[0]) as picture:
            frame = np.asarray(picture.convert("YCbCr").resize((640, 360)))[..., 0]
        print(f"\nms for 640x360, {THREADS} threads, median of {TURNS}")
        for name, milliseconds in times(models, frame).items():
            print(f"{name:32} {milliseconds:8.1f}")


if __name__ == "__main__":
    main()
