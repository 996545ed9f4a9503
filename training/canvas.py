"""Drawing tools for render.py: colours, words, fonts, soft backgrounds, and a canvas with supersampling.

All randomness comes from a single `numpy.random.Generator` argument, so that a seed identifies a picture.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

WIDTH, HEIGHT = 1020, 768
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | np.ndarray

# Debian's package, the style, and the files in it. Style `latin` is used for Latin letters only.
FONT_PACKAGES: list[tuple[str, str, list[str]]] = [
    ("fonts-dejavu-core", "sans", ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"]),
    ("fonts-dejavu-core", "serif", ["DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"]),
    ("fonts-dejavu-core", "mono", ["DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"]),
    ("fonts-liberation2", "sans", ["LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "LiberationSans-Italic.ttf"]),
    ("fonts-liberation2", "serif", ["LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", "LiberationSerif-Italic.ttf"]),
    ("fonts-liberation2", "mono", ["LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf"]),
    ("fonts-noto-core", "sans", ["NotoSans-Regular.ttf", "NotoSans-Bold.ttf", "NotoSans-Italic.ttf"]),
    ("fonts-noto-core", "serif", ["NotoSerif-Regular.ttf", "NotoSerif-Italic.ttf", "NotoSerifDisplay-Bold.ttf"]),
    ("fonts-hack", "mono", ["Hack-Regular.ttf", "Hack-Bold.ttf"]),
    ("fonts-comic-neue", "latin", ["ComicNeue-Regular.otf", "ComicNeue-Bold.otf", "ComicNeue-BoldItalic.otf"]),
    ("fonts-lato", "latin", ["Lato-Regular.ttf", "Lato-Light.ttf", "Lato-Black.ttf", "Lato-Italic.ttf"]),
]
FONT_FOLDERS = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts"]

LATIN_WORDS = (
    "a the of and to in river window seven quick paper yellow bridge morning engine quartz jump vexed zebra kite light "
    "through between minute harbour garden whisper fjord milk illicit William off waffle affine Straße grün Äpfel Übung "
    "größer Zwölf Vögel über müde Käse où déjà façade garçon élève naïve œuvre château español mañana niño año corazón "
    "pingüino żółw łódka gęś śnieg źródło příliš žluťoučký kůň ďábel ağaç güneş çiçek şeker ılık İzmir blåbær smørrebrød "
    "ångström öga þorn að João coração avião ombro Menu File Edit View Save Open Close Yes No Cancel Total Error OK"
).split()
OTHER_WORDS = (
    "река окно жёлтый мост утро бумага щука объём съезд ёлка подъезд чайник юла фильм ίσως θάλασσα φως ψάρι ξύλο δρόμος "
    "ουρανός γάτα Ωμέγα λόγος дім їжак ґанок ўзор џеп љубав њива"
).split()
MARKS = [",", ".", ";", ":", "!", "?", " –", "…", ".", ","]


def colour(random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """A colour of any hue, with saturation and value (0..1) from the given ranges."""
    hue, s, v = random.uniform(0, 360), random.uniform(*saturation), random.uniform(*value)
    red, green, blue = ImageColor.getrgb(f"hsv({hue:.1f},{s:.1%},{v:.1%})")[:3]
    return red, green, blue


def shade(base: Colour, factor: float) -> Colour:
    """`base` darkened (factor below 1) or moved towards white (above 1, by factor - 1)."""
    if factor <= 1:
        red, green, blue = (round(c * factor) for c in base)
    else:
        red, green, blue = (round(c + (255 - c) * min(factor - 1, 1)) for c in base)
    return red, green, blue


def chance(random: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(random.random() < probability)


@functools.cache
def fonts() -> dict[str, list[Path]]:
    """The fonts found on this machine, by style. Prints missing packages; fails if there are no fonts."""
    installed = {path.name: path for folder in FONT_FOLDERS if folder.is_dir() for path in sorted(folder.rglob("*.[ot]tf"))}
    found: dict[str, list[Path]] = {}
    missing = set()
    for package, style, files in FONT_PACKAGES:
        here = [installed[name] for name in files if name in installed]
        if len(here) < len(files):
            missing.add(package)
        found.setdefault(style, []).extend(here)
    if missing:
        print(f"fonts missing, pictures will differ: apt install {' '.join(sorted(missing))}")
    if not any(found.values()):
        raise SystemExit("no fonts found; apt install fonts-dejavu-core at least")
    return {style: paths for style, paths in found.items() if paths}


@functools.lru_cache(maxsize=256)
def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font of `size` pixels. Uses the basic layout engine, because not every build of Pillow has Raqm."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=4096)
def writes(path: Path, character: str) -> bool:
    """Whether a font has this character: missing ones look like a noncharacter."""
    face = font(path, 24)
    return bytes(face.getmask(character)) != bytes(face.getmask("\uffff"))


class Writer:
    """A typeface, and the words that it can write."""

    def __init__(self, random: np.random.Generator, styles: Sequence[str] = ("sans", "serif", "mono", "latin")) -> None:
        available = [style for style in styles if style in fonts()] or list(fonts())
        style = available[random.integers(len(available))]
        paths = fonts()[style]
        self.path = paths[random.integers(len(paths))]
        self.random = random
        self.words = LATIN_WORDS
        if style != "latin" and chance(random, 0.25):
            self.words = OTHER_WORDS
        self.words = [word for word in self.words if all(writes(self.path, character) for character in word)]

    def font(self, size: float) -> ImageFont.FreeTypeFont:
        """The typeface at a size in pixels."""
        return font(self.path, max(round(size), 5))

    def number(self) -> str:
        """A number as in texts: a count, price, time, date, version or hexadecimal number."""
        n = self.random.integers(10_000)
        forms = [f"{n}", f"{n / 100:.2f}", f"{n % 24:02}:{n % 60:02}", f"{n % 28 + 1}/{n % 12 + 1}", f"v{n % 10}.{n % 7}",
                 f"0x{n:04x}", f"{n % 101} %", f"${n:,}", f"+{n / 1000:.3f}", f"#{n}"]  # fmt: skip
        return forms[self.random.integers(len(forms))]

    def word(self) -> str:
        """One word or number, sometimes in capitals or followed by a punctuation mark."""
        roll = self.random.random()
        if roll < 0.08:
            return self.number()
        word = self.words[self.random.integers(len(self.words))]
        if roll < 0.2:
            word = word.capitalize()
        elif roll < 0.24:
            word = word.upper()
        elif roll < 0.27:
            word = f"({word})"
        elif roll < 0.42:
            word += MARKS[self.random.integers(len(MARKS))]
        return word

    def phrase(self, words: int) -> str:
        """`count` words, the first capitalised."""
        text = " ".join(self.word() for _ in range(words))
        return text[:1].upper() + text[1:]

    def line(self, size: float, width: float) -> str:
        """Words that fill a line of `width` pixels at this size without exceeding it."""
        face, text = self.font(size), self.word()
        while True:
            longer = f"{text} {self.word()}"
            if face.getlength(longer) > width:
                return text
            text = longer


def noise(random: np.random.Generator, octaves: int, coarsest: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth noise, float32 [height, width], about -1..1: octaves of random grids, from `coarsest` cells per side."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        grid = random.uniform(-1, 1, (cells, cells)).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return total / 1.5


def gradient(random: np.random.Generator, stops: Sequence[Colour], form: str = "any") -> np.ndarray:
    """A gradient between colour stops, float32 [HEIGHT, WIDTH, 3]: `vertical`, `linear`, `radial`, `angle` or `any`."""
    if form == "any":
        form = ["vertical", "linear", "linear", "radial", "radial", "angle"][random.integers(6)]
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    centre_x, centre_y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
    if form == "vertical":
        t = y / HEIGHT
    elif form == "linear":
        angle = random.uniform(0, 2 * np.pi)
        t = np.cos(angle) * x + np.sin(angle) * y
        t = (t - t.min()) / (t.max() - t.min())
    elif form == "radial":
        t = np.hypot(x - centre_x, (y - centre_y) * random.uniform(0.6, 1.6)) / random.uniform(400, 1100)
    else:
        t = np.abs(np.arctan2(y - centre_y, x - centre_x)) / np.pi
    where = np.linspace(0, 1, len(stops))
    table = np.array(stops, np.float32)
    return np.stack([np.interp(t, where, table[:, c]).astype(np.float32) for c in range(3)], axis=-1)


def dithered(random: np.random.Generator, picture: np.ndarray) -> Image.Image:
    """Rounds floats 0..255 to 8 bits, with half a step of noise, so that slow gradients show no bands."""
    grain = random.random(picture.shape[:2], dtype=np.float32)[..., None]
    return Image.fromarray(np.clip(np.floor(picture + grain), 0, 255).astype(np.uint8))


def curve(points: Points, closed: bool = False, steps: int = 12) -> np.ndarray:
    """Points [n, 2] on a Catmull-Rom spline through `points`, `steps` per segment."""
    p = np.asarray(points, float)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:])
    ]
    return np.concatenate([*pieces, p[-2:-1]])


def ring(x: float, y: float, rx: float, ry: float, count: int = 48, start: float = 0.0, end: float = 2 * np.pi) -> np.ndarray:
    """Points [count, 2] on an ellipse, or on an arc of it from angle `start` to `end`."""
    t = np.linspace(start, end, count, endpoint=abs(end - start) < 6.28)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


class Canvas:
    """A picture drawn at `factor` times its size, then downscaled. Coordinates are (fractional) pixels of the result."""

    def __init__(self, background: Colour | Image.Image, factor: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        self.factor = factor
        self.size = size
        self.background = background if isinstance(background, tuple) else None
        large = (size[0] * factor, size[1] * factor)
        if isinstance(background, Image.Image):
            # Repeated pixels: downscaling restores the background unchanged.
            self.picture = background.resize(large, Image.Resampling.NEAREST)
        else:
            self.picture = Image.new("RGB", large, background)
        self.pen = ImageDraw.Draw(self.picture)
        self.crisp: list[tuple[tuple[float, float], str, Colour, ImageFont.FreeTypeFont, str]] = []

    def finish(self) -> Image.Image:
        """The picture. Each pixel is the mean of its area; networks would learn a sharper filter's ringing."""
        picture = self.picture.reduce(self.factor) if self.factor > 1 else self.picture
        pen = ImageDraw.Draw(picture)
        for position, text, fill, face, anchor in self.crisp:
            pen.text(position, text, fill, face, anchor=anchor)
        return picture

    def points(self, points: Points) -> list[tuple[float, float]]:
        """Points in the coordinates of the large picture."""
        return [(float(x), float(y)) for x, y in np.asarray(points, float) * self.factor]

    def width(self, width: float) -> int:
        """A line's width in the large picture."""
        return max(round(width * self.factor), 1)

    def line(self, points: Points, fill: Colour, width: float = 1.0) -> None:
        """A line through points, with rounded joints."""
        self.pen.line(self.points(points), fill, self.width(width), joint="curve" if width > 1 else None)

    def polygon(self, points: Points, fill: Colour | None, outline: Colour | None = None, width: float = 1.0) -> None:
        """A filled shape; its outline is centred on its border."""
        if fill is not None:
            self.pen.polygon(self.points(points), fill)
        if outline is not None:
            closed = np.concatenate([points, np.asarray(points)[:2]])
            self.line(closed, outline, width)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour | None, outline: Colour | None = None,
                width: float = 1.0) -> None:  # fmt: skip
        """An ellipse around (x, y); its outline lies inside."""
        (left, top), (right, bottom) = self.points([(x - rx, y - ry), (x + rx, y + ry)])
        self.pen.ellipse((left, top, right, bottom), fill, outline, self.width(width))

    def ink(self, points: Points, fill: Colour, thickness: Callable[[np.ndarray], np.ndarray]) -> None:
        """A stroke whose width follows `thickness(t)`, for t from 0 to 1 along it, as drawn by a pen or brush."""
        p = np.asarray(points, float)
        along = np.gradient(p, axis=0)
        normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-6)[:, None]
        half = thickness(np.linspace(0, 1, len(p)))[:, None] / 2
        self.polygon(np.concatenate([p + normal * half, (p - normal * half)[::-1]]), fill)

    def rounded(self, box: tuple[float, float, float, float], radius: float, fill: Colour | None, outline: Colour | None = None,
                width: float = 1.0) -> None:  # fmt: skip
        """A rectangle (left, top, right, bottom) with rounded corners."""
        (left, top), (right, bottom) = self.points([box[:2], box[2:]])
        self.pen.rounded_rectangle((left, top, right - 1, bottom - 1), radius * self.factor, fill, outline, self.width(width))

    def text(self, x: float, y: float, text: str, face: Writer, size: float, fill: Colour, outline: Colour | None = None,
             width: float = 0.0, anchor: str = "la") -> None:  # fmt: skip
        """Text at a size in pixels; `anchor` as in Pillow; with an outline of `width` pixels, as in subtitles."""
        position = (x * self.factor, y * self.factor)
        self.pen.text(position, text, fill, face.font(size * self.factor), anchor=anchor, stroke_fill=outline,
                      stroke_width=self.width(width) if outline is not None else 0)  # fmt: skip

    def label(self, x: float, y: float, text: str, face: Writer, size: float, fill: Colour, anchor: str = "la") -> None:
        """Screen text: rasterised and hinted at the size of the result, on top of everything else."""
        self.crisp.append(((round(x), round(y)), text, fill, face.font(size), anchor))

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour | None,
            outline: Colour | None = None) -> None:  # fmt: skip
        """A rectangle on whole pixels, excluding `right` and `bottom`, with a one-pixel outline inside."""
        (a, b), (c, d) = self.points([(round(left), round(top)), (round(right), round(bottom))])
        if c - 1 >= a and d - 1 >= b:
            self.pen.rectangle((a, b, c - 1, d - 1), fill, outline, self.factor)
