#!/usr/bin/env python3
"""Make training clips with a real video encoder: each decoded frame is paired with the large frame it came from.

    apt install ffmpeg
    python3 training/compress.py PICTURES_FOLDER... --output FOLDER [--clips N] [--scale 2] [--seed S]

A window moves over a picture, or stays still while a patch moves over it. Each frame of the window is downscaled by
Pillow's bicubic filter; the small frames are encoded by x264 (crf 20-32, presets ultrafast to medium, veryfast most
often) or by VP9 of libvpx (crf 28-45), decoded again, and stored: `low` uint8 [frames, h, w] after decoding, `high`
uint8 [frames, scale*h, scale*w], the original. Both are luma, BT.601 at full range, as in Pillow's YCbCr mode. The
codec gets these samples unchanged, with chroma at half size, so that the encoder works as it would on real video.

Every clip is checked: decoded frames must match the encoded frames best without a shift. With the same FFmpeg, the same
seed produces the same clips.

`evaluation_clips` makes the clips used to evaluate compressed models.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pictures import luma, pictures

# The largest small frame, width and height.
FRAME = (320, 240)
FRAMES = 10
RATE = 25
# Photographs of 2,000 pixels and more are smooth at full size; downscaled, they are as sharp as typical sources.
REDUCTIONS = (0.7, 0.5, 0.35)
LARGE = 1300
# A window starts at the most detailed of this many random places: encoders hardly change flat areas.
PLACES = 3
# By how many dB a shift by a pixel must be better to count. A real shift is better by ten and more; in nearly empty
# frames, the codec's noise favours one or the other by 1 dB.
SHIFT_MARGIN = 3.0
# Below this, the frames have lost their content.
LEAST_PSNR = 25.0
# Evaluation: 2 s, with a window of this size over pictures of 768x512 (rotated for portrait pictures).
EVALUATION_WINDOW = (640, 448)
EVALUATION_FRAMES = 2 * RATE


@dataclass(frozen=True)
class Encoder:
    """An encoder: FFmpeg's output arguments, and a name for messages."""

    name: str
    arguments: tuple[str, ...]


def x264(crf: int, preset: str = "medium", tune: str = "") -> Encoder:
    """H.264 by x264."""
    tuned = ("-tune", tune) if tune else ()
    return Encoder(f"x264 {preset} crf {crf}", ("-c:v", "libx264", "-preset", preset, "-crf", str(crf), *tuned))


def vp9(crf: int, speed: int) -> Encoder:
    """VP9 by libvpx, at constant quality."""
    arguments = ("-c:v", "libvpx-vp9", "-b:v", "0", "-crf", str(crf), "-deadline", "realtime", "-cpu-used", str(speed))
    return Encoder(f"vp9 crf {crf}", arguments)


def any_encoder(random: np.random.Generator) -> Encoder:
    """x264 for four clips of five, otherwise VP9."""
    if random.random() < 0.2:
        return vp9(int(random.integers(28, 46)), int(random.integers(5, 9)))
    presets = ["ultrafast", "superfast", "veryfast", "veryfast", "veryfast", "veryfast", "faster", "fast", "medium"]
    tunes = ["", "", "", "film", "animation"]
    return x264(int(random.integers(20, 33)), presets[random.integers(len(presets))], tunes[random.integers(len(tunes))])


def ffmpeg(arguments: Sequence[str], data: bytes | None = None) -> bytes:
    """Run FFmpeg on one thread, so that its result does not depend on the machine; return its standard output."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def planes(frame: Image.Image) -> bytes:
    """An RGB frame of even size as yuv420p samples: luma, then Cb and Cr at half size (means of 2x2)."""
    luma, blue, red = frame.convert("YCbCr").split()
    return luma.tobytes() + blue.reduce(2).tobytes() + red.reduce(2).tobytes()


def through_codec(frames: Sequence[Image.Image], encoder: Encoder) -> np.ndarray:
    """Encode and decode RGB frames of one even size: uint8 [frames, h * w * 3 / 2], yuv420p samples, luma first.

    The stream does not declare its range, so FFmpeg does not convert it: full-range samples stay full-range.
    """
    width, height = frames[0].size
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p")
    with tempfile.TemporaryDirectory() as folder:
        video = str(Path(folder) / "clip.mkv")
        given = (*raw, "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-")
        ffmpeg((*given, *encoder.arguments, "-threads", "1", video), b"".join(planes(frame) for frame in frames))
        decoded = ffmpeg(("-threads", "1", "-i", video, *raw, "-"))
    samples = np.frombuffer(decoded, np.uint8).reshape(-1, width * height * 3 // 2)
    if len(samples) != len(frames):
        raise SystemExit(f"{encoder.name}: {len(frames)} frames went in, {len(samples)} came out")
    return samples


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit samples; 99 if they are the same."""
    error = float(np.mean((a.astype(np.float32) - b) ** 2))
    return 10 * np.log10(255**2 / error) if error else 99.0


def checked(low: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR of the decoded frames. Fails if they match better when shifted by a pixel."""
    inner = np.s_[:, 1:-1, 1:-1]
    figures = {
        (dy, dx): psnr(low[inner], np.roll(decoded, (dy, dx), (1, 2))[inner]) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    }
    best = max(figures, key=lambda shift: figures[shift])
    if figures[best] > figures[0, 0] + SHIFT_MARGIN:
        raise SystemExit(f"decoded frames are shifted by {best}: {figures[best]:.2f} dB, not {figures[0, 0]:.2f} dB")
    return figures[0, 0]


def compressed(frames: Sequence[Image.Image], scale: int, encoder: Encoder) -> tuple[np.ndarray, np.ndarray, float]:
    """(low, high, PSNR of low before and after the codec) of large RGB frames; 2 * scale divides their size."""
    width, height = frames[0].size
    small = [frame.resize((width // scale, height // scale), Image.Resampling.BICUBIC) for frame in frames]
    pixels = small[0].width * small[0].height
    decoded = through_codec(small, encoder)[:, :pixels].reshape(-1, small[0].height, small[0].width)
    quality = checked(np.stack([luma(frame) for frame in small]), decoded)
    return decoded, np.stack([luma(frame) for frame in frames]), quality


def busiest(random: np.random.Generator, picture: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """The left and top of the one with the largest mean gradient of PLACES random windows of `size`."""
    places, gradients = [], []
    for _ in range(PLACES):
        x, y = (int(random.integers(0, whole - side + 1)) for whole, side in zip(picture.size, size))
        window = luma(picture.crop((x, y, x + size[0], y + size[1]))).astype(np.int16)
        places.append((x, y))
        gradients.append(np.abs(np.diff(window, axis=0)).mean() + np.abs(np.diff(window, axis=1)).mean())
    return places[int(np.argmax(gradients))]


def path(random: np.random.Generator, start: int, room: int, step: int) -> np.ndarray:
    """Positions 0..room for each frame: still, uniform or accelerating, in steps of `step`; reverses at the ends."""
    speed = random.choice([0, 0, 1, 1, 2, 3, 4, 6, 10]) * random.choice([-1, 1])
    t = np.arange(FRAMES)
    where = start + speed * step * (t if random.random() < 0.7 else t * t / FRAMES).round()
    if room == 0:
        return np.zeros(FRAMES, int)
    where = np.abs((where + room) % (2 * room) - room).astype(int)
    return where - where % step


def moving(random: np.random.Generator, picture: Image.Image, size: tuple[int, int], scale: int) -> list[Image.Image]:
    """A clip of large frames of `size`: a moving window, or a still one with a patch of the picture moving over it."""
    width, height = size
    # Half of the clips move by whole small pixels, like scrolling; the others by fractions, like cameras.
    step = scale if random.random() < 0.5 else 1
    x, y = busiest(random, picture, size)
    xs, ys = path(random, x, picture.width - width, step), path(random, y, picture.height - height, step)
    patch = random.random() < 0.3
    if patch:
        xs[:], ys[:] = xs[0], ys[0]
    frames = [picture.crop((x, y, x + width, y + height)) for x, y in zip(xs.tolist(), ys.tolist())]
    if patch:
        w, h = (int(side * random.uniform(0.15, 0.5)) for side in size)
        x, y = int(random.integers(0, picture.width - w)), int(random.integers(0, picture.height - h))
        piece = picture.crop((x, y, x + w, y + h))
        to_x, to_y = (path(random, int(random.integers(room)), room, step) for room in (width - w, height - h))
        for frame, left, top in zip(frames, to_x.tolist(), to_y.tolist()):
            frame.paste(piece, (left, top))
    return frames


def opened(random: np.random.Generator, file: Path, least: tuple[int, int]) -> Image.Image:
    """A picture in RGB; large ones are downscaled at random, but not below `least`."""
    with Image.open(file) as stored:
        picture = stored.convert("RGB")
    if picture.width <= LARGE:
        return picture
    smallest = max(least[0] / picture.width, least[1] / picture.height)
    reduction = min(max(random.choice(REDUCTIONS), smallest), 1.0)
    return picture.resize((round(picture.width * reduction), round(picture.height * reduction)), Image.Resampling.LANCZOS)


def training_clip(random: np.random.Generator, file: Path, scale: int) -> tuple[np.ndarray, np.ndarray, float, str]:
    """(low, high, PSNR, encoder) of one clip over a picture."""
    picture = opened(random, file, (FRAME[0] * scale, FRAME[1] * scale))
    grid = 2 * scale
    width, height = (min(side * scale, int(whole)) // grid * grid for side, whole in zip(FRAME, picture.size))
    encoder = any_encoder(random)
    return *compressed(moving(random, picture, (width, height), scale), scale, encoder), encoder.name


def evaluation_frames(picture: Image.Image, number: int, scale: int) -> list[Image.Image]:
    """2 s of a window crossing an RGB picture diagonally, 2.6 pixels per frame; `number` selects the corner."""
    long, short = (side - side % (2 * scale) for side in EVALUATION_WINDOW)
    width, height = (long, short) if picture.width >= picture.height else (short, long)
    if picture.width < width or picture.height < height:
        raise SystemExit(f"a picture of {picture.width}x{picture.height} is smaller than the window of {width}x{height}")
    frames = []
    for t in np.linspace(0, 1, EVALUATION_FRAMES):
        x = round((picture.width - width) * (1 - t if number % 2 else t))
        y = round((picture.height - height) * (1 - t if number // 2 % 2 else t))
        frames.append(picture.crop((x, y, x + width, y + height)))
    return frames


def evaluation_clips(folder: Path, crf: int, scale: int = 2) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A clip of 2 s for each picture of a folder, downscaled and encoded by x264 (default preset medium) at this crf.

    Yields (low, high): uint8 [50, h, w] after the codec and [50, scale*h, scale*w] before; 224x320 and 448x640 at scale
    2 (portrait pictures: 320x224 and 640x448). Each picture's window starts in another corner than the previous one's.
    """
    for number, file in enumerate(pictures(folder)):
        with Image.open(file) as stored:
            picture = stored.convert("RGB")
        low, high, _ = compressed(evaluation_frames(picture, number, scale), scale, x264(crf))
        yield low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+", help="folders of pictures, with equal shares of the clips")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--clips", type=int, default=200, help="clips to make (default: %(default)s)")
    parser.add_argument("--scale", type=int, default=2, choices=(2, 3, 4), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    shuffle = np.random.Generator(np.random.PCG64(arguments.seed))
    folders = [[files[i] for i in shuffle.permutation(len(files))] for files in map(pictures, arguments.pictures)]
    kept = 0
    for number in range(arguments.clips):
        random = np.random.Generator(np.random.PCG64([arguments.seed, number]))
        files = folders[number % len(folders)]
        file = files[number // len(folders) % len(files)]
        low, high, quality, encoder = training_clip(random, file, arguments.scale)
        keep = quality >= LEAST_PSNR
        shape = f"{low.shape[2]}x{low.shape[1]}"
        print(f"{number:04} {shape} {encoder}: {quality:.2f} dB{'' if keep else ', left out'}  {file.name}")
        if keep:
            np.savez_compressed(arguments.output / f"{number:04}.npz", low=low, high=high)
            kept += 1
    print(f"{arguments.output}: {kept} clips")


if __name__ == "__main__":
    main()
