#!/usr/bin/env python3
"""Writes a PNG with a crop of the source, resized with Lanczos, next to the same crop of the upscaled result.

    script/env script/side_by_side.py SOURCE RESULT OUT.png [--frame N] [--crop LEFT,TOP,WIDTH,HEIGHT]

Frames are counted instead of sought by time, so both sides show the same one. The crop is in pixels of the result.
Requires GStreamer and Python's standard library.
"""

import argparse
import struct
import subprocess
import sys
import zlib
from typing import NamedTuple

GAP = 8


class Picture(NamedTuple):
    """8-bit RGB, rows without padding."""

    width: int
    height: int
    pixels: bytes

    def crop(self, left: int, top: int, width: int, height: int) -> list[bytes]:
        """Returns the rows of a rectangle within the picture."""
        starts = (3 * ((top + row) * self.width + left) for row in range(height))
        return [self.pixels[start : start + 3 * width] for start in starts]


def decode(path: str, frame: int, size: tuple[int, int] | None = None) -> Picture:
    """Reads one frame of a file, counted from 0, and resizes it to `size` with Lanczos-3, if given."""
    # Three lobes, as is usual for images; GStreamer's default is two.
    scale = ["videoscale", "method=lanczos", "envelope=3", "add-borders=false", "!"] if size else []
    caps = "video/x-raw,format=RGB" + (f",width={size[0]},height={size[1]}" if size else "")
    command = [
        *("gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "decodebin", "!"),
        *(*scale, "videoconvert", "!", caps, "!", "pnmenc", "!", "fdsink", "fd=1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            for _ in range(frame):
                read_ppm(run.stdout)
            return read_ppm(run.stdout)
        except EOFError:
            why = run.stderr.readline().decode(errors="replace").strip()
            sys.exit(f"side_by_side: {path} has no readable frame {frame}. {why}".rstrip())
        finally:
            run.kill()


def read_ppm(stream) -> Picture:
    """Reads the next binary PPM picture from a stream. Raises EOFError at the end."""
    fields: list[bytes] = []
    while len(fields) < 4:
        line = stream.readline()
        if not line:
            raise EOFError
        fields += line.split(b"#")[0].split()
    if fields[0] != b"P6" or fields[3] != b"255":
        raise ValueError(f"not an 8-bit PPM picture: {fields}")
    width, height = int(fields[1]), int(fields[2])
    pixels = stream.read(3 * width * height)
    if len(pixels) != 3 * width * height:
        raise EOFError
    return Picture(width, height, pixels)


def png(width: int, rows: list[bytes]) -> bytes:
    """Encodes 8-bit RGB rows as PNG (PNG specification, section 5: chunks; filter 0 before each row)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def numbers(text: str) -> tuple[int, int, int, int]:
    """LEFT,TOP,WIDTH,HEIGHT."""
    left, top, width, height = (int(part) for part in text.split(","))
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError
    return left, top, width, height


def main():
    parser = argparse.ArgumentParser(description="A crop of the source, resized with Lanczos, next to the upscaled one.")
    parser.add_argument("source")
    parser.add_argument("result")
    parser.add_argument("out")
    parser.add_argument("--frame", type=int, default=0, help="counted from 0")
    parser.add_argument("--crop", type=numbers, metavar="LEFT,TOP,WIDTH,HEIGHT", help="in pixels of the result")
    options = parser.parse_args()

    result = decode(options.result, options.frame)
    source = decode(options.source, options.frame, (result.width, result.height))
    left, top, width, height = options.crop or (0, 0, result.width, result.height)
    if left + width > result.width or top + height > result.height:
        parser.error(f"the crop does not lie within {result.width}x{result.height}")
    rows = [
        before + b"\xff" * (3 * GAP) + after
        for before, after in zip(source.crop(left, top, width, height), result.crop(left, top, width, height))
    ]
    with open(options.out, "wb") as file:
        file.write(png(2 * width + GAP, rows))


if __name__ == "__main__":
    main()
