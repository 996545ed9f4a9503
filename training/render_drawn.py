"""The drawn pictures of render.py: line art, cartoons and gradients."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from canvas import HEIGHT, WIDTH, Canvas, Colour, chance, colour, curve, dithered, gradient, noise, ring, shade

Random = np.random.Generator
SKINS: list[Colour] = [(255, 224, 196), (240, 195, 160), (198, 145, 105), (140, 95, 65), (255, 235, 220)]


def pen_width(random: Random, widest: float) -> Callable[[np.ndarray], np.ndarray]:
    """A stroke's width along its length: thin at the ends and thick in between, or constant."""
    most, form = random.uniform(0.8, widest), random.integers(3)
    if form == 0:
        return lambda t: most * np.sin(np.pi * np.clip(t, 0.02, 0.98)) ** 0.7 + 0.3
    if form == 1:
        return lambda t: most * (1 - 0.85 * t) + 0.3
    return lambda t: np.full_like(t, most)


def spot(random: Random, margin: float = 0.0) -> tuple[float, float]:
    """A random point in the picture, `margin` pixels from its border."""
    return random.uniform(margin, WIDTH - margin), random.uniform(margin, HEIGHT - margin)


def blob(random: Random, x: float, y: float, radius: float, rough: float = 0.25, corners: int = 9) -> np.ndarray:
    """A closed, rounded outline around (x, y)."""
    radii = radius * (1 + random.uniform(-rough, rough, corners))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(0, 1)
    return curve(np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1), closed=True)


def hatching(canvas: Canvas, random: Random, ink: Colour) -> None:
    """An ellipse filled with parallel strokes, perhaps crossed by others."""
    (x, y), (rx, ry) = spot(random), random.uniform(30, 160, 2)
    gap, width, angle = random.uniform(3, 11), random.uniform(0.7, 2), random.uniform(0, np.pi)
    for turn in (angle, angle + random.uniform(0.6, 1.57))[: random.integers(1, 3)]:
        for offset in np.arange(-0.98, 0.98, gap / min(rx, ry)):
            half = np.sqrt(1 - offset**2) * random.uniform(0.85, 1)
            ends = np.array([(-half, offset), (half, offset)]) @ [(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))]
            canvas.line(ends * (rx, ry) + (x, y), ink, width)
    if chance(random, 0.6):
        canvas.polygon(ring(x, y, rx, ry), None, ink, random.uniform(1, 3))


def maze(canvas: Canvas, random: Random, ink: Colour) -> None:
    """A maze of straight walls: each cell opens to the north or to the west (a binary tree maze)."""
    cell, width = float(random.integers(8, 30)), random.uniform(1, 4)
    left, top = (round(v) for v in spot(random, 150))
    columns, rows = random.integers(8, 26, 2)
    canvas.box(left - 4, top - 4, left + columns * cell + 4, top + rows * cell + 4, canvas.background)
    for r in range(rows + 1):
        for c in range(columns + 1):
            x, y = left + c * cell, top + r * cell
            north = r in (0, rows) or chance(random, 0.5)
            if c < columns and north:
                canvas.line([(x - width / 2, y), (x + cell + width / 2, y)], ink, width)
            if r < rows and (c in (0, columns) or not north):
                canvas.line([(x, y), (x, y + cell)], ink, width)


def plant(canvas: Canvas, random: Random, ink: Colour, root: tuple[float, float], angle: float, length: float,
          width: float) -> None:  # fmt: skip
    """A branch with smaller branches, the smallest with leaves."""
    x, y = root
    end_x, end_y = x + length * np.cos(angle), y + length * np.sin(angle)
    bend = random.uniform(-0.15, 0.15) * length
    middle = ((x + end_x) / 2 - bend * np.sin(angle), (y + end_y) / 2 + bend * np.cos(angle))
    canvas.ink(curve([(x, y), middle, (end_x, end_y)]), ink, lambda t: width * (1 - 0.35 * t))
    if length < 16:
        tip = (end_x + 12 * np.cos(angle), end_y + 12 * np.sin(angle))
        leaf = curve([(end_x, end_y), (end_x + 5, end_y - 4), tip], closed=True)
        canvas.polygon(leaf, ink if chance(random, 0.4) else canvas.background, ink, 0.8)
        return
    for turn in random.uniform(-0.75, 0.75, random.integers(2, 4)):
        plant(canvas, random, ink, (end_x, end_y), angle + turn, length * random.uniform(0.55, 0.85), width * 0.68)


def figures(canvas: Canvas, random: Random, ink: Colour) -> None:
    """Geometry: concentric rings, a star, a web, a spiral, or waves."""
    (x, y), size, width = spot(random), random.uniform(40, 200), random.uniform(0.8, 2.5)
    form = random.integers(5)
    if form == 0:
        for radius in np.arange(width * 2, size, random.uniform(2.5, 12)):
            canvas.polygon(ring(x, y, radius, radius, 90), None, ink, width)
    elif form == 1:
        corners = ring(x, y, size, size, int(random.integers(5, 24)))
        step = int(random.integers(2, len(corners) // 2 + 1))
        for n in range(len(corners)):
            canvas.line([corners[n], corners[(n + step) % len(corners)]], ink, width)
    elif form == 2:
        for n in range(24):
            canvas.line([(x + size * n / 24, y), (x, y + size - size * n / 24)], ink, width)
            canvas.line([(x - size * n / 24, y), (x, y + size - size * n / 24)], ink, width)
    elif form == 3:
        t = np.linspace(0, random.uniform(12, 60), 600)
        canvas.line(np.stack([x + size * t / 60 * np.cos(t), y + size * t / 60 * np.sin(t)], 1), ink, width)
    else:
        t = np.linspace(0, 1, 200)
        for row in np.arange(0, size, random.uniform(4, 12)):
            wave = np.sin(t * random.uniform(10, 14) + row / 20) * 8
            canvas.line(np.stack([x + t * size * 2, y + row + wave], 1), ink, width)


def cel(canvas: Canvas, outline: np.ndarray, fill: Colour, ink: Colour, width: float, light: int = 0) -> None:
    """A shape in two tones with an outline. The darker tone is on the side away from `light` (0..3)."""
    canvas.polygon(outline, fill)
    count = len(outline)
    start = count * (light % 4) // 4
    arc = np.roll(outline, -start, axis=0)[: count // 2]
    centre = outline.mean(0)
    inner = arc[::-1] + (centre - arc[::-1]) * np.sin(np.linspace(0, np.pi, len(arc)))[:, None] * 0.45
    canvas.polygon(np.concatenate([arc, inner]), shade(fill, 0.78))
    canvas.polygon(outline, None, ink, width)


def eye(canvas: Canvas, x: float, y: float, size: float, iris: Colour, ink: Colour, width: float) -> None:
    """A large drawn eye: white, iris in two tones, pupil, light, and a heavy lash line."""
    canvas.ellipse(x, y, size * 0.62, size * 0.75, (255, 255, 255))
    canvas.ellipse(x, y + size * 0.08, size * 0.42, size * 0.6, iris, ink, width * 0.7)
    canvas.ellipse(x, y + size * 0.28, size * 0.3, size * 0.34, shade(iris, 1.45))
    canvas.ellipse(x, y + size * 0.05, size * 0.2, size * 0.32, shade(iris, 0.25))
    canvas.ellipse(x - size * 0.17, y - size * 0.25, size * 0.15, size * 0.15, (255, 255, 255))
    lash = ring(x, y, size * 0.72, size * 0.82, 24, np.pi * 1.08, np.pi * 1.92)
    canvas.ink(lash, ink, lambda t: size * 0.2 * np.sin(np.pi * np.clip(t, 0.1, 0.95)))


def head(canvas: Canvas, random: Random, x: float, y: float, size: float, tints: tuple[Colour, Colour, Colour, Colour],
         ink: Colour, width: float) -> None:  # fmt: skip
    """A person, cut off by the lower border; `tints` are the colours of skin, hair, coat and eyes."""
    skin, hair, coat, iris = tints
    light, neck, below = int(random.integers(4)), 0.25, max((canvas.size[1] - y) / size, 2.0) + 0.2

    def at(*points: tuple[float, float]) -> np.ndarray:
        """Converts head coordinates to picture coordinates: (0, 0) is the head's centre, 1 is half its height."""
        return np.array(points) * size + (x, y)

    behind = blob(random, x, y - size * 0.05, size * random.uniform(1.1, 1.35), 0.12, 13)
    cel(canvas, behind, shade(hair, 0.8), ink, width, light)
    canvas.polygon(at((-neck, 0.6), (neck, 0.6), (neck, 1.4), (-neck, 1.4)), shade(skin, 0.85), ink, width)
    shoulders = curve(at((-1.25, 2), (-1.1, 1.35), (-neck, 1.15), (0, 1.6), (neck, 1.15), (1.1, 1.35), (1.25, 2)))
    cel(canvas, np.concatenate([at((-1.4, below)), shoulders, at((1.4, below))]), coat, ink, width, light)
    for seam in (-0.5, 0, 0.5):
        canvas.line(at((seam, 1.6 + 0.3 * abs(seam)), (seam * 1.1, below)), ink, width * 0.6)
    face = curve(at((-0.8, -0.3), (-0.72, 0.35), (-0.3, 0.85), (0, 1), (0.3, 0.85), (0.72, 0.35), (0.8, -0.3), (0.4, -0.85),
                    (-0.4, -0.85)), closed=True)  # fmt: skip
    cel(canvas, face, skin, ink, width, light)
    for side in (-1, 1):
        eye(canvas, x + side * size * 0.38, y + size * 0.12, size * 0.34, iris, ink, width)
        brow = curve(at((side * 0.15, -0.28), (side * 0.4, -0.36), (side * 0.62, -0.26)))
        canvas.ink(brow, ink, lambda t: width * 1.8 * np.sin(np.pi * np.clip(t, 0.1, 0.9)))
    canvas.line(at((-0.02, 0.42), (0.04, 0.5), (-0.02, 0.53)), ink, width * 0.8)
    wide = random.uniform(0.08, 0.25)
    if chance(random, 0.5):
        mouth = curve(at((-wide, 0.68), (wide, 0.68), (0, 0.68 + wide)), closed=True)
        canvas.polygon(mouth, shade((190, 60, 70), 0.8) if skin != (255, 255, 255) else ink, ink, width * 0.8)
    else:
        canvas.ink(curve(at((-wide, 0.68), (0, 0.74), (wide, 0.68))), ink, lambda t: width * np.ones_like(t))
    fringe(canvas, random, x, y, size, hair, ink, width)


def fringe(canvas: Canvas, random: Random, x: float, y: float, size: float, hair: Colour, ink: Colour, width: float) -> None:
    """Pointed locks over the forehead, and a highlight on the hair."""
    crown = ring(x, y - size * 0.15, size * 0.98, size * 0.98, 16, np.pi * 0.98, np.pi * 2.02)
    locks = [crown[-1] + (0, size * random.uniform(0.3, 0.9))]
    count = int(random.integers(4, 8))
    for n in range(count):
        t = 1 - (n + 0.5) / count
        locks.append((x + size * (t * 1.7 - 0.85 + random.uniform(-0.05, 0.05)), y - size * random.uniform(0.35, 0.6)))
        locks.append((x + size * (t * 1.7 - 0.85 - 0.5 / count * 1.7), y - size * random.uniform(-0.05, 0.25)))
    locks.append(crown[0] + (0, size * random.uniform(0.3, 0.9)))
    canvas.polygon(np.concatenate([crown, np.array(locks)]), hair, ink, width)
    shine = ring(x, y - size * 0.2, size * 0.72, size * 0.62, 30, np.pi * 1.2, np.pi * 1.75)
    canvas.ink(shine, shade(hair, 1.45), lambda t: size * 0.14 * (1 - np.abs(2 * t - 1)) * (1 + 0.6 * np.sin(t * 60)))


def landscape(canvas: Canvas, random: Random, ink: Colour, width: float) -> None:
    """Hills, clouds, houses and trees in flat colours."""
    for _ in range(random.integers(1, 5)):
        x, y = spot(random)
        size = random.uniform(20, 60)
        for dx in (-1.1, 0, 1.2):
            canvas.ellipse(x + dx * size, y * 0.5 + abs(dx) * size * 0.25, size, size * 0.7, (250, 250, 252))
    for layer in range(random.integers(1, 4)):
        base = HEIGHT * (0.5 + 0.17 * layer)
        xs = np.linspace(-20, WIDTH + 20, 9)
        ridge = curve(np.stack([xs, base + random.uniform(-70, 70, 9)], 1))
        green = colour(random, (0.3, 0.8), (0.3, 0.85))
        canvas.polygon(np.concatenate([ridge, [(WIDTH + 20, HEIGHT + 20), (-20, HEIGHT + 20)]]), green, ink, width)
        for x, y in ridge[random.integers(0, len(ridge), random.integers(0, 9))]:
            size = random.uniform(15, 60)
            if chance(random, 0.5):
                trunk = np.array([(-0.12, 8 / size), (0.12, 8 / size), (0.1, -1), (-0.1, -1)]) * size + (x, y)
                canvas.polygon(trunk, (110, 75, 45), ink, width)
                cel(canvas, blob(random, x, y - size * 1.5, size * 0.8), shade(green, 0.75), ink, width)
            else:
                house(canvas, random, x, y + 8, size, ink, width)


def house(canvas: Canvas, random: Random, x: float, y: float, size: float, ink: Colour, width: float) -> None:
    """A house with a roof in rows of tiles, two windows and a door, with its base at (x, y)."""
    wall, roof = colour(random, (0.05, 0.5), (0.7, 1)), colour(random, (0.5, 0.9), (0.4, 0.8))
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * size
    canvas.polygon(square * (2, 1.2) + (x - size, y - size * 1.2), wall, ink, width)
    top = y - size * 1.2
    canvas.polygon([(x - size * 1.2, top), (x + size * 1.2, top), (x, top - size)], roof, ink, width)
    for row in (0.25, 0.5, 0.75):
        half = size * 1.2 * (1 - row)
        canvas.line([(x - half, top - size * row), (x + half, top - size * row)], shade(roof, 0.6), width * 0.6)
    for side in (-0.75, 0.4):
        left, high = x + side * size, top + size * 0.25
        canvas.polygon(square * (0.35, 0.4) + (left, high), (255, 240, 150), ink, width * 0.7)
        canvas.line([(left + size * 0.175, high), (left + size * 0.175, high + size * 0.4)], ink, width * 0.5)
        canvas.line([(left, high + size * 0.2), (left + size * 0.35, high + size * 0.2)], ink, width * 0.5)
    canvas.polygon(square * (0.3, 0.6) + (x - size * 0.15, y - size * 0.6), shade(wall, 0.5), ink, width * 0.7)


def speed_lines(canvas: Canvas, random: Random, ink: Colour) -> None:
    """Wedges from the border towards one point."""
    width, height = canvas.size
    x, y = width * random.uniform(0.3, 0.7), height * random.uniform(0.3, 0.7)
    for _ in range(random.integers(40, 130)):
        angle, near = random.uniform(0, 2 * np.pi), min(width, height) * random.uniform(0.25, 0.55)
        spread = random.uniform(0.002, 0.012)
        far = [(x + 1200 * np.cos(angle + s), y + 1200 * np.sin(angle + s)) for s in (-spread, spread)]
        canvas.polygon([*far, (x + near * np.cos(angle), y + near * np.sin(angle))], ink)


def cartoon(random: Random) -> Image.Image:
    """Flat colours in two tones with dark outlines: people, creatures and things on a soft or flat background."""
    stops = [colour(random, (0.1, 0.7), (0.5, 1)) for _ in range(random.integers(2, 4))]
    canvas = Canvas(dithered(random, gradient(random, stops, "vertical" if chance(random, 0.7) else "radial")), 3)
    ink, width = shade(colour(random, (0.3, 0.8), (0.1, 0.35)), 0.6), random.uniform(1, 3)
    roll = random.random()
    if roll < 0.6:
        landscape(canvas, random, ink, width)
    elif roll < 0.85:
        speed_lines(canvas, random, ink if chance(random, 0.5) else (255, 255, 255))
    for _ in range(random.integers(0, 10)):
        shape = blob(random, *spot(random), random.uniform(15, 90), random.uniform(0.02, 0.4), int(random.integers(4, 12)))
        cel(canvas, shape, colour(random, (0.2, 0.95), (0.4, 1)), ink, width, int(random.integers(4)))
    places = random.permutation(np.linspace(120, WIDTH - 120, 6))[: random.integers(1, 6)]
    # Lower figures are nearer, and so larger and in front.
    for place, y in zip(places, np.sort(random.uniform(200, HEIGHT - 150, len(places)))):
        skin = SKINS[random.integers(len(SKINS))]
        hair, coat, iris = (colour(random, (0.2, 0.9), (0.15, 0.95)) for _ in range(3))
        size = max(y * random.uniform(0.22, 0.38), (HEIGHT - y) / 4.5)
        head(canvas, random, place, y, size, (skin, hair, coat, iris), ink, width)
    return canvas.finish()


def strokes(canvas: Canvas, random: Random, ink: Colour, count: int) -> None:
    """Pen strokes, hatching, mazes, rounded outlines and geometry, mostly in one ink."""
    for _ in range(count):
        tint = ink if chance(random, 0.85) else colour(random, (0.5, 1), (0.4, 0.9))
        form = random.random()
        if form < 0.4:
            points = np.cumsum(np.concatenate([[spot(random)], random.normal(0, 70, (random.integers(2, 8), 2))]), axis=0)
            canvas.ink(curve(points), tint, pen_width(random, 9))
        elif form < 0.57:
            hatching(canvas, random, tint)
        elif form < 0.63:
            maze(canvas, random, tint)
        elif form < 0.75:
            shape = blob(random, *spot(random), random.uniform(20, 120))
            canvas.polygon(shape, canvas.background, tint, random.uniform(0.8, 4))
        else:
            figures(canvas, random, tint)


def panel(random: Random, width: int, height: int) -> Image.Image:
    """A black-and-white comic panel: people in front of wedges, hatching, screentone dots, or nothing."""
    canvas = Canvas((255, 255, 255), 4, (width, height))
    ink, line = (0, 0, 0), random.uniform(1, 2.5)
    roll = random.random()
    if roll < 0.35:
        speed_lines(canvas, random, ink)
    elif roll < 0.6:
        hatching(canvas, random, ink)
        strokes(canvas, random, ink, 2)
    elif roll < 0.85:
        pitch, limit = random.uniform(5, 9), random.uniform(0.2, 0.45)
        for row, y in enumerate(np.arange(0, height, pitch)):
            for x in np.arange(row % 2 * pitch / 2, width, pitch):
                radius = pitch * limit * (1 - 0.7 * y / height)
                canvas.ellipse(x, y, radius, radius, ink)
    tones = [(255, 255, 255), (255, 255, 255), (225, 225, 225), (120, 120, 120), (25, 25, 25)]
    for _ in range(random.integers(1, 3)):
        skin, hair, coat, iris = tones[0], *(tones[i] for i in random.integers(0, 5, 3))
        size = min(width, height) * random.uniform(0.2, 0.42)
        x, y = random.uniform(0.2, 0.8) * width, random.uniform(0.4, 0.7) * height
        head(canvas, random, x, y, size, (skin, hair, coat, iris), ink, line)
    canvas.box(0, 0, width, height, None, ink)
    canvas.box(1, 1, width - 1, height - 1, None, ink)
    return canvas.finish()


def comic(random: Random) -> Image.Image:
    """A page of panels with white between them."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    rows = int(random.integers(1, 4))
    tall = (HEIGHT - 10) // rows
    for row in range(rows):
        cuts = np.sort(random.choice(np.arange(1, 6), random.integers(0, 3), replace=False)) * WIDTH // 6
        edges = [10, *(int(cut) for cut in cuts), WIDTH]
        for left, right in zip(edges, edges[1:]):
            sheet.paste(panel(random, right - left - 10, tall - 10), (left, 10 + row * tall))
    return sheet


def line_art(random: Random) -> Image.Image:
    """Ink on paper: a comic page, or plants, strokes and geometry in one or two inks."""
    if chance(random, 0.35):
        return comic(random)
    inks: list[tuple[Colour, Colour]] = [
        ((255, 255, 255), (0, 0, 0)),
        ((255, 255, 255), (20, 20, 30)),
        ((255, 255, 255), (40, 40, 40)),
        ((248, 240, 222), (50, 30, 20)),
        ((8, 8, 8), (250, 250, 250)),
        ((20, 50, 120), (225, 235, 255)),
        ((235, 235, 235), (150, 20, 30)),
    ]
    paper, ink = inks[random.integers(len(inks))]
    canvas = Canvas(paper, 4)
    if chance(random, 0.4):
        for _ in range(random.integers(2, 6)):
            root, length = random.uniform(60, WIDTH - 60), random.uniform(90, 170)
            plant(canvas, random, ink, (root, HEIGHT), -np.pi / 2, length, random.uniform(4, 12))
    strokes(canvas, random, ink, int(random.integers(20, 45)))
    return canvas.finish()


def spheres(random: Random, soft: np.ndarray) -> None:
    """Balls lit from one side, drawn into `soft`, with borders one pixel wide."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    light = random.normal(0, 1, 3)
    light[2] = abs(light[2]) + 0.5
    light /= np.linalg.norm(light)
    for _ in range(random.integers(1, 7)):
        (cx, cy), radius = spot(random), random.uniform(25, 150)
        u, v = (x - cx) / radius, (y - cy) / radius
        distance = np.hypot(u, v)
        lit = np.clip(u * light[0] + v * light[1] + np.sqrt(np.clip(1 - distance**2, 0, 1)) * light[2], 0.08, 1)
        cover = np.clip((1 - distance) * radius + 0.5, 0, 1)[..., None]
        soft += (lit[..., None] * np.array(colour(random, (0.2, 0.9), (0.5, 1))) - soft) * cover


def lights(random: Random, soft: np.ndarray) -> None:
    """Out-of-focus discs, added to `soft`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for _ in range(random.integers(4, 14)):
        (cx, cy), radius, blur = spot(random), random.uniform(8, 90), random.uniform(0.7, 30)
        cover = np.clip((radius - np.hypot(x - cx, y - cy)) / blur + 0.5, 0, 1)[..., None]
        soft += np.array(colour(random, (0, 0.8), (0.2, 0.9))) * cover * random.uniform(0.2, 0.7)


def smooth(random: Random) -> Image.Image:
    """Gradients, clouds, balls and lights, without banding; most with hard-edged silhouettes or shapes on top."""
    stops = [colour(random, (0, 0.9), (0, 1)) for _ in range(random.integers(2, 6))]
    soft = gradient(random, stops)
    roll = random.random()
    if roll < 0.3:
        spheres(random, soft)
    elif roll < 0.55:
        lights(random, soft)
    elif roll < 0.8:
        soft += noise(random, int(random.integers(1, 7)), 3)[..., None] * random.uniform(5, 60)
    canvas = Canvas(dithered(random, soft), 3)
    if chance(random, 0.4):
        xs = np.linspace(0, WIDTH, int(random.integers(6, 40)))
        ridge = np.stack([xs, HEIGHT * random.uniform(0.55, 0.9) + random.normal(0, 30, len(xs))], 1)
        ridge = curve(ridge) if chance(random, 0.5) else ridge
        canvas.polygon(np.concatenate([ridge, [(WIDTH, HEIGHT), (0, HEIGHT)]]), colour(random, (0, 0.8), (0, 0.25)))
    for _ in range(random.integers(0, 14)):
        shape = blob(random, *spot(random), random.uniform(8, 110), 0.5, int(random.integers(3, 9)))
        fill = colour(random, (0, 1), (0, 1))
        if chance(random, 0.5):
            canvas.polygon(shape[::12], fill)
        elif chance(random, 0.5):
            canvas.polygon(shape, fill, shade(fill, 0.3), random.uniform(0.8, 4))
        else:
            canvas.line(shape, fill, random.uniform(0.8, 6))
    return canvas.finish()
