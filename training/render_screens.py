"""The text pictures of render.py: pages, terminals, subtitles, and program screens."""

import numpy as np
from PIL import Image

from canvas import (
    HEIGHT,
    WIDTH,
    Canvas,
    Colour,
    Writer,
    chance,
    colour,
    dithered,
    gradient,
    noise,
    shade,
)

Random = np.random.Generator
Box = tuple[float, float, float, float]
TERMINALS: list[tuple[Colour, Colour]] = [
    ((0, 0, 0), (204, 204, 204)),
    ((30, 30, 30), (230, 230, 225)),
    ((0, 43, 54), (147, 161, 161)),
    ((40, 42, 54), (248, 248, 242)),
    ((253, 246, 227), (88, 110, 117)),
    ((10, 20, 10), (60, 240, 90)),
]


def page_colours(random: Random) -> tuple[Colour, Colour]:
    """Background and text: mostly black on white, otherwise white on black or contrasting colours."""
    roll = random.random()
    if roll < 0.35:
        return (255, 255, 255), (random.integers(0, 60),) * 3
    if roll < 0.55:
        return (random.integers(0, 40),) * 3, (255, 255, 255)
    if roll < 0.75:
        return colour(random, (0.0, 0.25), (0.85, 1.0)), colour(random, (0.3, 1.0), (0.0, 0.45))
    return colour(random, (0.3, 1.0), (0.05, 0.4)), colour(random, (0.0, 0.5), (0.85, 1.0))


def paragraph(canvas: Canvas, writer: Writer, box: Box, size: float, ink: Colour, crisp: bool) -> None:
    """Lines of words that fill a box, with occasional indents and short lines."""
    left, top, right, bottom = box
    spacing = size * writer.random.uniform(1.15, 1.6)
    draw = canvas.label if crisp else canvas.text
    y = top
    while y + size < bottom:
        short = writer.random.uniform(0.3, 0.9) if chance(writer.random, 0.15) else 1.0
        draw(left, y, writer.line(size, (right - left) * short), writer, size, ink)
        y += spacing * (1.5 if short < 1 else 1)


def page(random: Random) -> Image.Image:
    """Columns of text under headings, each with its own size and typeface."""
    paper, ink = page_colours(random)
    crisp = chance(random, 0.5)
    canvas = Canvas(paper, 1 if crisp else 3)
    columns = int(random.integers(1, 4))
    width = WIDTH / columns
    for column in range(columns):
        y = random.uniform(6, 30)
        left, right = column * width + 18, (column + 1) * width - 14
        while y < HEIGHT:
            writer = Writer(random)
            if chance(random, 0.6):
                size = random.uniform(20, 60) / columns**0.4
                tint = ink if chance(random, 0.6) else colour(random, (0.5, 1), (0.5, 0.9))
                (canvas.label if crisp else canvas.text)(left, y, writer.line(size, right - left), writer, size, tint)
                y += size * 1.5
            size = 8 * 2 ** (random.uniform(0, 1.6) ** 1.3)
            tall = random.uniform(60, 260)
            paragraph(canvas, writer, (left, y, right, y + tall), size, ink, crisp)
            y += tall + size
    return canvas.finish()


def sizes(random: Random) -> Image.Image:
    """A type specimen: lines in many sizes and typefaces, some on coloured bands."""
    paper, ink = page_colours(random)
    canvas = Canvas(paper, 3)
    y = 0.0
    while y < HEIGHT:
        size = 8 * 2 ** random.uniform(0, 2.95)
        writer = Writer(random)
        fill = ink
        if chance(random, 0.35):
            band, fill = page_colours(random)
            canvas.box(0, y, WIDTH, y + size * 1.5, band)
        draw = canvas.label if chance(random, 0.4) else canvas.text
        draw(random.uniform(4, 30), y + size * 0.1, writer.line(size, WIDTH - 40), writer, size, fill)
        y += round(size * 1.5)
    return canvas.finish()


def terminal(random: Random) -> Image.Image:
    """A full terminal: a prompt, listings in columns, coloured words, a status bar, a block cursor."""
    paper, ink = TERMINALS[random.integers(len(TERMINALS))]
    canvas = Canvas(paper, 1)
    writer = Writer(random, ["mono"])
    size = int(random.integers(10, 24))
    step, cell = round(size * random.uniform(1.15, 1.35)), writer.font(size).getlength("0")
    bright = sum(paper) < 380
    tints = [colour(random, (0.5, 1), (0.8, 1) if bright else (0.3, 0.6)) for _ in range(5)] + [ink] * 6
    y, columns = 4, int((WIDTH - 12) / cell)
    while y < HEIGHT - step:
        roll, x = random.random(), 6.0
        limit = columns if roll > 0.3 else int(columns * random.uniform(0.1, 0.6))
        while (x - 6) / cell < limit:
            word = writer.word() if roll < 0.8 else f"{writer.number():<12}"
            if chance(random, 0.08):
                canvas.box(x, y, x + writer.font(size).getlength(word), y + step, tints[0])
                canvas.label(x, y, word, writer, size, paper)
            else:
                canvas.label(x, y, word, writer, size, tints[random.integers(len(tints))])
            x += round(cell * (len(word) + 1))
        y += step
    canvas.box(0, HEIGHT - step, WIDTH, HEIGHT, ink)
    canvas.label(6, HEIGHT - step, writer.line(size, WIDTH - 20), writer, size, paper)
    return canvas.finish()


def scenery(random: Random) -> Image.Image:
    """A soft background: a gradient with noise clouds, like out-of-focus video behind subtitles."""
    stops = [colour(random, (0.1, 0.7), (0.05, 0.95)) for _ in range(random.integers(2, 5))]
    soft = gradient(random, stops)
    soft += noise(random, int(random.integers(1, 6)), int(random.integers(2, 6)))[..., None] * random.uniform(5, 45)
    return dithered(random, soft)


def subtitles(random: Random) -> Image.Image:
    """Outlined subtitles over a soft background; several, so that each picture has enough detail."""
    canvas = Canvas(scenery(random), 4)
    y = random.uniform(10, 40)
    while y < HEIGHT - 40:
        writer = Writer(random, ["sans", "sans", "latin", "serif"])
        size = random.uniform(20, 52)
        roll = random.random()
        fill = (255, 255, 255) if roll < 0.6 else ((255, 240, 60) if roll < 0.75 else colour(random, (0.2, 0.9), (0.7, 1.0)))
        border = (0, 0, 0) if chance(random, 0.8) else colour(random, (0.5, 1), (0.1, 0.5))
        for _ in range(random.integers(1, 3)):
            line = writer.line(size, random.uniform(400, 900))
            if chance(random, 0.3):
                canvas.text(WIDTH / 2 + 2, y + 2.5, line, writer, size, (0, 0, 0), (0, 0, 0), 1.5, "ma")
            canvas.text(WIDTH / 2, y, line, writer, size, fill, border, random.uniform(1, 3.5), "ma")
            y += size * 1.25
        y += random.uniform(0, 50)
    return canvas.finish()


def text(random: Random) -> Image.Image:
    """A random text picture."""
    forms = [page, page, sizes, terminal, subtitles]
    return forms[random.integers(len(forms))](random)


class Theme:
    """The colours, typeface and base unit of a program window."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.dark = chance(random, 0.4)
        self.paper: Colour = colour(random, (0, 0.15), (0.08, 0.2)) if self.dark else colour(random, (0, 0.04), (0.96, 1))
        self.panel = shade(self.paper, 1.1 if self.dark else 0.94)
        self.rule = shade(self.paper, 1.25 if self.dark else 0.78)
        self.ink: Colour = (235, 235, 235) if self.dark else (20, 22, 26)
        self.faint = shade(self.ink, 0.6) if self.dark else shade(self.ink, 1.45)
        self.accent = colour(random, (0.6, 0.95), (0.65, 0.95))
        self.writer = Writer(random, ["sans", "sans", "latin"])
        self.mono = Writer(random, ["mono"])
        self.size = int(random.integers(10, 18))
        self.row = round(self.size * random.uniform(1.6, 2.2))
        self.radius = float(random.choice([0, 2, 4, 8]))


def button(canvas: Canvas, theme: Theme, x: float, y: float, label: str, primary: bool) -> float:
    """Draws a button; returns its width."""
    width = round(theme.writer.font(theme.size).getlength(label) + theme.size * 1.6)
    fill = theme.accent if primary else theme.panel
    canvas.rounded((x, y, x + width, y + theme.row), theme.radius, fill, theme.rule, 1)
    ink = (255, 255, 255) if primary else theme.ink
    canvas.label(x + width / 2, y + theme.row / 2, label, theme.writer, theme.size, ink, "mm")
    return width


def icon(canvas: Canvas, theme: Theme, x: float, y: float, size: float) -> None:
    """A small icon: a folder, a cross, a disc, bars, an arrow, a magnifier or a tick."""
    random, s = theme.random, size
    tint = theme.ink if chance(random, 0.5) else colour(random, (0.5, 0.9), (0.5, 0.95))
    form, width = random.integers(7), max(s / 10, 1)
    if form == 0:
        canvas.rounded((x, y + s * 0.2, x + s, y + s * 0.9), s / 10, tint, shade(tint, 0.7), 1)
        canvas.box(x + 1, y + s * 0.1, x + s * 0.45, y + s * 0.25, shade(tint, 0.8))
    elif form == 1:
        canvas.line([(x, y), (x + s, y + s)], tint, width)
        canvas.line([(x + s, y), (x, y + s)], tint, width)
    elif form == 2:
        canvas.ellipse(x + s / 2, y + s / 2, s / 2, s / 2, tint)
        canvas.label(x + s / 2, y + s / 2, theme.writer.word()[:1].upper(), theme.writer, s * 0.6, theme.paper, "mm")
    elif form == 3:
        for n in range(3):
            canvas.box(x, y + s * (0.2 + 0.28 * n), x + s, y + s * (0.2 + 0.28 * n) + width, tint)
    elif form == 4:
        canvas.polygon([(x, y + s / 2), (x + s / 2, y), (x + s / 2, y + s * 0.3), (x + s, y + s * 0.3), (x + s, y + s * 0.7),
                        (x + s / 2, y + s * 0.7), (x + s / 2, y + s)], tint)  # fmt: skip
    elif form == 5:
        canvas.ellipse(x + s * 0.4, y + s * 0.4, s * 0.38, s * 0.38, None, tint, width)
        canvas.line([(x + s * 0.68, y + s * 0.68), (x + s, y + s)], tint, width * 1.5)
    else:
        canvas.line([(x, y + s * 0.5), (x + s * 0.35, y + s * 0.85), (x + s, y + s * 0.1)], tint, width * 1.3)


def scroll_bar(canvas: Canvas, theme: Theme, x: float, top: float, bottom: float) -> None:
    """A vertical scroll bar, 12 pixels wide."""
    canvas.box(x, top, x + 12, bottom, theme.panel, theme.rule)
    start = theme.random.uniform(top, (top + bottom) / 2)
    canvas.rounded((x + 2, start, x + 10, start + (bottom - top) * 0.3), min(theme.radius, 4), theme.faint)


def table(canvas: Canvas, theme: Theme, box: Box) -> None:
    """A table of words and numbers with one-pixel rules, a header, and one selected row."""
    left, top, right, bottom = box
    random = theme.random
    columns = max(int((right - left) / random.uniform(70, 150)), 2)
    width, rows = (right - left) / columns, int((bottom - top) / theme.row)
    selected, grid = random.integers(1, max(rows, 2)), chance(random, 0.5)
    for r in range(rows):
        y = top + r * theme.row
        fill = theme.accent if r == selected else (theme.panel if r % 2 == 0 or r == 0 else theme.paper)
        canvas.box(left, y, right, y + theme.row, fill)
        ink = (255, 255, 255) if r == selected else theme.ink
        for c in range(columns):
            x = left + c * width
            cell = theme.writer.number() if c % 2 and r else theme.writer.word()
            canvas.label(x + 5, y + theme.row / 2, cell, theme.writer, theme.size, ink, "lm")
            if grid:
                canvas.box(x, y, x + 1, y + theme.row, theme.rule)
        canvas.box(left, y, right, y + 1, theme.rule)
    canvas.box(left, top, right, top + rows * theme.row, None, theme.rule)


def chart(canvas: Canvas, theme: Theme, box: Box) -> None:
    """A chart: bars, lines or a pie, with a grid, axes and axis labels."""
    left, top, right, bottom = box
    random = theme.random
    tints = [colour(random, (0.5, 0.9), (0.55, 0.95)) for _ in range(4)]
    if chance(random, 0.25):
        radius = min(right - left, bottom - top) * 0.42
        angles = np.cumsum(random.uniform(0.3, 1, 6))
        angles = np.concatenate([[0], angles / angles[-1]]) * 2 * np.pi
        for n in range(6):
            arc = np.stack([np.cos(t := np.linspace(angles[n], angles[n + 1], 40)), np.sin(t)], 1) * radius
            middle = np.array([[(left + right) / 2, (top + bottom) / 2]])
            canvas.polygon(np.concatenate([middle, arc + middle]), shade(tints[n % 4], 1 if n < 4 else 0.7), theme.paper, 1)
        return
    for n in range(6):
        y = bottom - (bottom - top) * n / 5.2
        canvas.box(left, y, right, y + 1, theme.rule)
        canvas.label(left - 4, y, f"{n * 20}", theme.writer, theme.size * 0.85, theme.faint, "rm")
    canvas.box(left, top, left + 1, bottom, theme.ink)
    count = int(random.integers(5, 25))
    xs = np.linspace(left + 8, right - 8, count)
    if chance(random, 0.5):
        half = (right - left) / count * 0.35
        for x in xs:
            canvas.box(x - half, bottom - random.uniform(0.1, 1) * (bottom - top), x + half, bottom, tints[0])
        return
    for tint in tints[: random.integers(1, 5)]:
        steps = np.cumsum(random.normal(0, 1, count))
        ys = bottom - (0.1 + 0.8 * (steps - steps.min()) / (np.ptp(steps) + 1e-6)) * (bottom - top)
        canvas.line(np.stack([xs, ys], 1), tint, random.uniform(1, 2.5))
        if count < 14:
            for x, y in zip(xs, ys):
                canvas.ellipse(x, y, 3, 3, theme.paper, tint, 1.2)


def form_fields(canvas: Canvas, theme: Theme, box: Box) -> None:
    """A form: labels with fields, check boxes, sliders and buttons."""
    left, top, right, bottom = box
    random, row = theme.random, theme.row
    y, half = top + 4, left + (right - left) * 0.35
    while y + row < bottom:
        canvas.label(left + 4, y + row / 2, theme.writer.word(), theme.writer, theme.size, theme.ink, "lm")
        form = random.integers(4)
        if form == 0:
            canvas.rounded((half, y, right - 8, y + row), theme.radius, theme.paper, theme.rule, 1)
            canvas.label(half + 6, y + row / 2, theme.writer.word(), theme.writer, theme.size, theme.faint, "lm")
        elif form == 1:
            canvas.rounded((half, y + 4, half + row - 8, y + row - 4), min(theme.radius, 4), theme.accent, theme.rule, 1)
            tick = [(half + 3, y + row / 2), (half + row * 0.3, y + row - 8), (half + row - 11, y + 8)]
            canvas.line(tick, (255, 255, 255), 1.6)
        elif form == 2:
            at = random.uniform(half, right - 20)
            canvas.box(half, y + row // 2, right - 12, y + row // 2 + 2, theme.rule)
            canvas.box(half, y + row // 2, at, y + row // 2 + 2, theme.accent)
            canvas.ellipse(at, y + row // 2 + 1, 6, 6, theme.paper, theme.faint, 1)
        else:
            x = half
            for label in ("OK", theme.writer.word()):
                x += button(canvas, theme, x, y, label, label == "OK") + 8
        y += row + 8


def code(canvas: Canvas, theme: Theme, box: Box) -> None:
    """A text editor: numbered, indented lines with syntax highlighting."""
    left, top, right, bottom = box
    random, size = theme.random, theme.size
    step = round(size * 1.4)
    tints = [theme.ink, theme.ink] + [colour(random, (0.4, 0.9), (0.7, 1) if theme.dark else (0.3, 0.65)) for _ in range(4)]
    canvas.box(left, top, left + size * 3, bottom, theme.panel)
    cell, indent = theme.mono.font(size).getlength("0"), 0
    for n, y in enumerate(range(round(top + 4), round(bottom - step), step)):
        canvas.label(left + size * 2.6, y, f"{n + 17}", theme.mono, size, theme.faint, "ra")
        x = left + size * 3.4 + indent * cell * 4
        for _ in range(random.integers(0, 7)):
            token = theme.mono.word() + ("(", ") {", " =", ";", "[i]", " +", "")[random.integers(7)]
            if x + len(token) * cell > right - 20:
                break
            canvas.label(x, y, token, theme.mono, size, tints[random.integers(len(tints))])
            x += cell * (len(token) + 1)
        indent = int(np.clip(indent + random.integers(-1, 2), 0, 5))


def article(canvas: Canvas, theme: Theme, box: Box) -> None:
    """A document with a picture frame."""
    left, top, right, bottom = box
    large = theme.size * 1.8
    canvas.label(left + 6, top + 4, theme.writer.line(large, right - left - 20), theme.writer, large, theme.ink)
    middle = top + theme.size * 3 + (bottom - top) * 0.3
    canvas.box(left + 6, top + theme.size * 3, right - 10, middle, theme.accent, theme.rule)
    canvas.ellipse((left + right) / 2, (top + theme.size * 3 + middle) / 2, 20, 20, shade(theme.accent, 1.5))
    paragraph(canvas, theme.writer, (left + 6, middle + 8, right - 10, bottom), theme.size, theme.ink, True)


def window(random: Random, width: int, height: int) -> Image.Image:
    """A program window: title, toolbar, two or more panes, status bar."""
    theme = Theme(random)
    canvas = Canvas(theme.paper, 3, (width, height))
    bar = theme.row + 6
    canvas.box(0, 0, width, bar, theme.accent if chance(random, 0.3) else theme.panel)
    canvas.label(width / 2, bar / 2, theme.writer.phrase(3), theme.writer, theme.size, theme.ink, "mm")
    for n in range(3):
        icon(canvas, theme, width - 24 * (n + 1), bar / 2 - 6, 12)
    x, y = 6.0, bar + 4
    for n in range(6):
        if x < width - 150:
            x += button(canvas, theme, x, y, theme.writer.word(), n == 0) + 6
    while x < width - 30:
        icon(canvas, theme, x, y + 3, theme.row - 6)
        x += theme.row + 6
    top, bottom = y + theme.row + 6, height - theme.row
    canvas.box(0, top - 1, width, top, theme.rule)
    panes = 1 + int(width > 420) + int(width > 800)
    edges = np.linspace(0, width, panes + 1).round()
    for left, right in zip(edges, edges[1:]):
        content = [table, chart, form_fields, code, article][random.integers(5)]
        # A chart's axis labels are to the left of its box.
        margin, indent = (14, 40) if content is chart else (4, 4)
        content(canvas, theme, (left + indent, top + margin, right - margin - 14, bottom - margin))
        scroll_bar(canvas, theme, right - 13, top, bottom)
    canvas.box(0, bottom, width, height, theme.panel)
    canvas.label(6, (bottom + height) / 2, theme.writer.phrase(5), theme.writer, theme.size * 0.9, theme.faint, "lm")
    canvas.box(0, 0, width, height, None, shade(theme.rule, 0.6))
    return canvas.finish()


def screen(random: Random) -> Image.Image:
    """A desktop with overlapping windows and an icon bar, or one maximised window."""
    if chance(random, 0.35):
        return window(random, WIDTH, HEIGHT)
    theme = Theme(random)
    canvas = Canvas(dithered(random, gradient(random, [colour(random, (0.3, 0.8), (0.2, 0.9)) for _ in range(3)])), 2)
    for n in range(8):
        icon(canvas, theme, 22, 20 + n * 84, 40)
        canvas.label(42, 66 + n * 84, theme.writer.word(), theme.writer, 12, (255, 255, 255), "ma")
    canvas.box(0, HEIGHT - 36, WIDTH, HEIGHT, theme.panel, theme.rule)
    for n in range(10):
        icon(canvas, theme, 12 + n * 44, HEIGHT - 30, 24)
    canvas.label(WIDTH - 12, HEIGHT - 18, theme.writer.number(), theme.writer, 14, theme.ink, "rm")
    desktop = canvas.finish()
    for _ in range(random.integers(2, 5)):
        width, height = int(random.integers(330, 800)), int(random.integers(260, 600))
        x, y = int(random.integers(70, WIDTH - width + 40)), int(random.integers(0, HEIGHT - 36 - height + 30))
        desktop.paste(window(random, width, height), (x, y))
    return desktop
