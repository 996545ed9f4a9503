#!/usr/bin/env python3
"""Render docs/contact-sheet.png: six crops, each from the source, enlarged by Lanczos, and by the built-in models.

    pip install -r training/requirements.txt
    python3 training/contact_sheet.py KODAK_FOLDER [--models models] [--output docs/contact-sheet.png]

The rows: a face, foliage, text, line art, a gradient, and a video frame. The source is downscaled to half size by
Pillow's bicubic filter and enlarged again: luma by the model, with ONNX Runtime on the CPU; chroma by Lanczos in every
column. The video is a Kodak picture moving under a window, encoded by x264 at crf 28, and is enlarged by the
`-compressed` models. Crops are shown without scaling, rounded to even values, which is invisible and makes the file a
sixth smaller. The script prints each crop's PSNR (luma, before rounding).

The photographs are kodim04, kodim07 and kodim08 of the Kodak suite, released for unrestricted use; the other pictures
are drawn here. No model was trained on any of them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw

from canvas import Canvas, Colour, Writer, font, fonts
from compress import evaluation_frames, psnr, through_codec, x264
from pictures import luma
from render_drawn import panel, smooth

SCALE = 2
CROP = (196, 126)
MARGIN, GAP, LABEL = 20, 4, 13
CRF, FRAME = 28, 25
# The seed of the drawn pictures: far from render.py's default seeds.
SEED = 31337


@dataclass(frozen=True)
class Row:
    """A crop: its name, the original and the downscaled picture, and the crop's left and top in the original."""

    name: str
    source: Image.Image
    small: Image.Image
    at: tuple[int, int]
    compressed: bool = False


def reduced(name: str, source: Image.Image, at: tuple[int, int]) -> Row:
    """A row of a picture, which is first cropped to an even size."""
    source = source.crop((0, 0, source.width // SCALE * SCALE, source.height // SCALE * SCALE))
    small = source.resize((source.width // SCALE, source.height // SCALE), Image.Resampling.BICUBIC)
    return Row(name, source, small, at)


def text_picture() -> Image.Image:
    """Lines of text of 10 to 26 pixels, dark on light and light on dark."""
    random = np.random.Generator(np.random.PCG64(SEED))
    canvas = Canvas((255, 255, 255), 4, (256, 200))
    lines: list[tuple[str, float, str]] = [
        ("sans", 26, "River 0123"),
        ("serif", 18, "Window, garden, übung"),
        ("sans", 13, "seven quick bridges at 07:45"),
        ("mono", 11, "let total = f(x[i]) + 0x1f;"),
    ]
    y = 24.0
    for style, size, words in lines:
        canvas.text(30, y, words, Writer(random, [style]), size, (25, 25, 30))
        y += size * 1.3
    canvas.box(0, y + 4, 256, 200, (24, 40, 66))
    subtitle: Colour = (255, 236, 80)
    canvas.text(30, y + 10, "Jump, zebra!", Writer(random, ["sans"]), 22, subtitle, (0, 0, 0), 2)
    return canvas.finish()


def video_row(name: str, picture: Image.Image, at: tuple[int, int]) -> Row:
    """A row of a frame of the picture's evaluation clip after decoding, with the decoded chroma."""
    frames = evaluation_frames(picture, 0, SCALE)
    width, height = (side // SCALE for side in frames[0].size)
    small = [frame.resize((width, height), Image.Resampling.BICUBIC) for frame in frames]
    samples = through_codec(small, x264(CRF))[FRAME]
    y, chroma = samples[: width * height].reshape(height, width), samples[width * height :].reshape(2, height // 2, width // 2)
    planes = [Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC) for plane in chroma]
    return Row(name, frames[FRAME], Image.merge("YCbCr", [Image.fromarray(y), *planes]).convert("RGB"), at, compressed=True)


def rows(folder: Path) -> list[Row]:
    """The six crops; `folder` holds the Kodak pictures."""

    def kodak(name: str) -> Image.Image:
        with Image.open(folder / name) as stored:
            return stored.convert("RGB")

    def seeded(number: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([SEED, number]))

    return [
        reduced("face", kodak("kodim04.png"), (196, 296)),
        reduced("foliage", kodak("kodim07.png"), (520, 220)),
        reduced("text", text_picture(), (24, 22)),
        reduced("line art", panel(seeded(2), 480, 360), (120, 166)),
        reduced("gradient", smooth(seeded(4)), (40, 158)),
        video_row(f"H.264, crf {CRF}", kodak("kodim08.png"), (430, 216)),
    ]


def enlarged(row: Row, model: Path | None) -> Image.Image:
    """The small picture enlarged: luma by a model, or by Lanczos without one; chroma by Lanczos."""
    planes = [plane.resize(row.source.size, Image.Resampling.LANCZOS) for plane in row.small.convert("YCbCr").split()]
    if model is not None:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        given = luma(row.small)[None, None].astype(np.float32) / 255
        (result,) = session.run(None, {session.get_inputs()[0].name: given})
        planes[0] = Image.fromarray(np.clip(np.rint(result[0, 0] * 255), 0, 255).astype(np.uint8))
        if planes[0].size != row.source.size:
            raise SystemExit(f"{model} enlarges {row.small.size} to {planes[0].size}, not by {SCALE}")
    return Image.merge("YCbCr", planes).convert("RGB")


def sheet(crops: list[Row], models: list[str], folder: Path) -> Image.Image:
    """All crops with labels: one row per picture, with the source, Lanczos and each model side by side."""
    heads = ["source", "Lanczos", *models]
    width, height = CROP[0] + GAP, CROP[1] + GAP
    picture = Image.new("RGB", (MARGIN + width * len(heads), MARGIN + height * len(crops)), (255, 255, 255))
    pen, face = ImageDraw.Draw(picture), font(fonts()["sans"][0], LABEL)
    for column, head in enumerate(heads):
        pen.text((MARGIN + width * column + CROP[0] / 2, MARGIN / 2), head, (0, 0, 0), face, anchor="mm")
    for line, row in enumerate(crops):
        top = MARGIN + height * line
        side = Image.new("RGB", (CROP[1], MARGIN), (255, 255, 255))
        ImageDraw.Draw(side).text((CROP[1] / 2, MARGIN / 2), row.name, (0, 0, 0), face, anchor="mm")
        picture.paste(side.transpose(Image.Transpose.ROTATE_90), (0, top))
        (x, y), figures = row.at, []
        files = [folder / f"{name}{'-compressed' if row.compressed else ''}.onnx" for name in models]
        for column, model in enumerate([None, None, *files]):
            whole = row.source if column == 0 else enlarged(row, model)
            crop = whole.crop((x, y, x + CROP[0], y + CROP[1]))
            picture.paste(crop, (MARGIN + width * column, top))
            if column:
                source = luma(row.source)[y : y + CROP[1], x : x + CROP[0]]
                figures.append(f"{heads[column]} {psnr(luma(crop), source):.2f}")
        print(f"{row.name}: {', '.join(figures)} dB")
    return picture


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kodak", type=Path, help="folder with kodim04.png, kodim07.png and kodim08.png")
    parser.add_argument("--models", type=Path, default=root / "models", help="their folder (default: %(default)s)")
    parser.add_argument("--names", nargs="+", default=["fast2x", "quality2x"], help="models (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=root / "docs" / "contact-sheet.png", help="default: %(default)s")
    arguments = parser.parse_args()
    picture = sheet(rows(arguments.kodak), arguments.names, arguments.models)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    picture.point(lambda value: min((value + 1) // 2 * 2, 255)).save(arguments.output, optimize=True)
    print(f"{arguments.output}: {picture.width}x{picture.height}, {arguments.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
