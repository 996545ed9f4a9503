#!/usr/bin/env python3
"""Renders the demo clip as YUV4MPEG2 to standard output: `demo_clip.py > clip.y4m`.

320x180, 24 frames per second, 94 frames. It is animated "on twos", with each drawing held for two frames, and has a
pause without motion: 40 different frames. The background has the details that show the quality of an upscaler (thin
diagonals, circles, lettering, a fine grating, a soft gradient). It uses neither randomness nor fonts: each pixel is
computed from its distance to lines and circles.
"""

import math
import sys

WIDTH, HEIGHT, RATE = 320, 180, 24
DRAWINGS, HOLD = 40, 2
PAUSE_AT, PAUSE_FRAMES = 24, 16

# Letters as strokes on a 4x6 grid, with 0,0 in the top left corner.
STROKES = {
    "U": ["00 04 15 35 44 40"],
    "P": ["06 00 30 41 42 33 03"],
    "S": ["41 30 10 01 02 13 33 44 45 36 16 05"],
    "C": ["41 30 10 01 05 16 36 45"],
    "A": ["06 20 46", "14 34"],
    "L": ["00 06 46"],
    "E": ["40 00 06 46", "03 33"],
}

Segment = tuple[float, float, float, float]


def lettering(text: str, left: float, top: float, size: float) -> list[Segment]:
    """Returns the strokes of a line of text; letters are 4 x `size` wide and 6 x `size` high."""
    segments = []
    for position, letter in enumerate(text):
        for stroke in STROKES[letter]:
            points = [
                (left + (position * 5.5 + int(p[0])) * size, top + int(p[1]) * size) for p in stroke.split()
            ]
            segments += [(*a, *b) for a, b in zip(points, points[1:])]
    return segments


def distance(x: float, y: float, segment: Segment) -> float:
    """Returns the distance of a point from a segment."""
    ax, ay, bx, by = segment
    dx, dy = bx - ax, by - ay
    along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.hypot(x - ax - along * dx, y - ay - along * dy)


def mix(below, above, cover: float):
    """Blends `above` over `below`, covering this fraction of the pixel."""
    cover = min(1.0, max(0.0, cover))
    return tuple(b + (a - b) * cover for b, a in zip(below, above))


class Picture:
    """RGB, 0..1, rows of tuples."""

    def __init__(self, rows):
        self.rows = rows

    def copy(self):
        return Picture([row[:] for row in self.rows])

    def lay(self, box, colour, signed_distance):
        """Draws a shape, evaluated only inside the box (in pixels)."""
        left, top, right, bottom = box
        for y in range(max(0, int(top)), min(HEIGHT, math.ceil(bottom))):
            row = self.rows[y]
            for x in range(max(0, int(left)), min(WIDTH, math.ceil(right))):
                cover = 0.5 - signed_distance(x + 0.5, y + 0.5)
                if cover > 0:
                    row[x] = mix(row[x], colour, cover)

    def line(self, segment: Segment, width: float, colour):
        """Draws a line with round ends."""
        reach = width / 2 + 1
        xs, ys = sorted(segment[0::2]), sorted(segment[1::2])
        box = (xs[0] - reach, ys[0] - reach, xs[1] + reach, ys[1] + reach)
        self.lay(box, colour, lambda x, y: distance(x, y, segment) - width / 2)

    def ring(self, cx: float, cy: float, radius: float, width: float, colour):
        """Draws a circle; a disc if the width is twice the radius."""
        reach = radius + width / 2 + 1
        box = (cx - reach, cy - reach, cx + reach, cy + reach)
        inner = max(0.0, radius - width / 2)
        outer = radius + width / 2 if inner else radius
        self.lay(box, colour, lambda x, y: max((r := math.hypot(x - cx, y - cy)) - outer, inner - r if inner else -1.0))


def background() -> Picture:
    """Returns the static background."""
    dark, light = (0.10, 0.16, 0.30), (0.93, 0.72, 0.52)
    picture = Picture([[mix(dark, light, (y / HEIGHT) ** 1.5)] * WIDTH for y in range(HEIGHT)])
    ink, paper, red = (0.06, 0.06, 0.09), (0.97, 0.96, 0.92), (0.80, 0.17, 0.16)

    # A fan of thin lines, from steep to nearly horizontal.
    for step in range(13):
        angle = math.radians(3 + step * 7)
        end = (14 + 88 * math.cos(angle), 170 - 88 * math.sin(angle))
        picture.line((14, 170, *end), 1.1, paper)
    # A zone plate: rings of increasing frequency.
    cx, cy, size = 262, 50, 40
    for y in range(cy - size, cy + size):
        for x in range(cx - size, cx + size):
            r2 = (x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2
            if r2 < size * size:
                wave = 0.5 + 0.5 * math.cos(math.pi * r2 / (2.6 * size))
                picture.rows[y][x] = mix(mix(ink, paper, wave), picture.rows[y][x], math.sqrt(r2) - size + 1)
    for width, colour in ((3.4, ink), (1.8, paper)):
        for segment in lettering("UPSCALE", 20, 14, 4.2):
            picture.line(segment, width, colour)
    for segment in lettering("UPSCALE", 20, 52, 1.6):
        picture.line(segment, 1.0, paper)
    # Roofs in flat colours, as in animation.
    for left, width, height in ((118, 46, 34), (160, 58, 50), (214, 40, 28), (252, 60, 42)):
        base = 164
        wall = (left, base - height, left + width, base)
        picture.lay((left - 1, base - height - 1, left + width + 1, base + 1), paper,
                    lambda x, y, w=wall: max(w[0] - x, x - w[2], w[1] - y, y - w[3]))
        ridge = (left + width / 2, base - height - 18)
        for edge in (left - 3, left + width + 3):
            picture.line((edge, base - height, *ridge), 2.6, red)
            picture.line((edge, base - height, *ridge), 0.9, ink)
        for row in range(base - height + 8, base - 6, 11):
            for column in range(left + 7, left + width - 8, 12):
                picture.lay((column, row, column + 6, row + 7), ink,
                            lambda x, y, c=column, r=row: max(c - x, x - c - 5, r - y, y - r - 6.5))
    picture.line((108, 164.5, 320, 164.5), 2.0, ink)
    return picture


def drawing(still: Picture, number: int) -> Picture:
    """Returns the background with a bouncing ball and a rotating hand."""
    picture = still.copy()
    time = number / DRAWINGS
    x = 24 + 272 * time
    y = 150 - 92 * abs(math.sin(time * math.pi * 3.5))
    picture.ring(x, y, 13, 26, (0.98, 0.80, 0.12))
    picture.ring(x, y, 12.4, 1.6, (0.06, 0.06, 0.09))
    picture.ring(x - 4, y - 5, 2.6, 5.2, (1.0, 0.97, 0.85))
    turn = time * math.tau * 2
    picture.line((262, 50, 262 + 34 * math.sin(turn), 50 - 34 * math.cos(turn)), 1.6, (0.86, 0.15, 0.20))
    return picture


def to_i420(picture: Picture) -> bytes:
    """BT.601, limited range, chroma sited left (as in MPEG-2), 8 bits."""
    luma, blue, red = bytearray(), [], []
    for row in picture.rows:
        blue.append([])
        red.append([])
        for r, g, b in row:
            grey = 0.299 * r + 0.587 * g + 0.114 * b
            luma.append(round(16 + 219 * grey))
            blue[-1].append((b - grey) / 1.772)
            red[-1].append((r - grey) / 1.402)
    planes = [luma]
    for plane in (blue, red):
        small = bytearray()
        for y in range(0, HEIGHT, 2):
            both = [a + b for a, b in zip(plane[y], plane[y + 1])]
            for x in range(0, WIDTH, 2):
                weighted = both[max(0, x - 1)] + 2 * both[x] + both[x + 1]
                small.append(round(128 + 224 * weighted / 8))
        planes.append(small)
    return b"".join(planes)


def main():
    out = sys.stdout.buffer
    out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420mpeg2\n".encode())
    still = background()
    for number in range(DRAWINGS):
        frame = to_i420(drawing(still, number))
        held = PAUSE_FRAMES if number == PAUSE_AT else HOLD
        out.write((b"FRAME\n" + frame) * held)


if __name__ == "__main__":
    main()
