#!/usr/bin/env python3
"""Upscale a video the way this plugin's ancestor did: each step processes the whole video before the next one starts.

    ancestor.py MODEL.onnx IN OUT.mp4

FFmpeg extracts the frames as PNG; the frames are hashed, and equal ones are upscaled once; a thread pool runs ONNX
Runtime, keeping all results in memory; they are saved as PNG, which FFmpeg encodes (x264, preset veryfast).

Where the ancestor left a choice, this uses what was fastest on two cores: one single-threaded session for each of the
two threads of the pool; PNG with the lowest compression, also saved in the pool.
"""

import hashlib
import queue
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

THREADS = 2
# The value that `gst-upscale` uses for its quality of 65.
CRF = "18.5"
FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-y"]


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model, source, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        extracted, saved = Path(folder, "in"), Path(folder, "out")
        extracted.mkdir()
        saved.mkdir()
        frames = extract(source, extracted)
        shown = find_duplicates(frames)
        with ThreadPoolExecutor(THREADS) as pool:
            results = upscale(pool, model, sorted(set(shown)))
            list(pool.map(lambda pair: save(results[pair[1]], saved / pair[0].name), zip(frames, shown)))
        encode(saved, rate(source), target)


def extract(source: str, folder: Path) -> list[Path]:
    subprocess.run([*FFMPEG, "-i", source, "-fps_mode", "passthrough", str(folder / "frame_%05d.png")], check=True)
    return sorted(folder.iterdir())


def find_duplicates(frames: list[Path]) -> list[Path]:
    """Maps each frame to the first one with the same content."""
    first: dict[bytes, Path] = {}
    return [first.setdefault(hashlib.md5(frame.read_bytes()).digest(), frame) for frame in frames]


def upscale(pool: ThreadPoolExecutor, model: str, frames: list[Path]) -> dict[Path, np.ndarray]:
    """The upscaled pictures: height x width x 3, 8 bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions: queue.SimpleQueue[onnxruntime.InferenceSession] = queue.SimpleQueue()
    for _ in range(THREADS):
        sessions.put(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))

    def one(frame: Path) -> np.ndarray:
        session = sessions.get()
        try:
            return upscale_picture(session, Image.open(frame).convert("RGB"))
        finally:
            sessions.put(session)

    return dict(zip(frames, pool.map(one, frames)))


def upscale_picture(session: onnxruntime.InferenceSession, picture: Image.Image) -> np.ndarray:
    if session.get_inputs()[0].shape[1] != 1:
        chw = np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1), dtype=np.float32)[None] / np.float32(255)
        return np.ascontiguousarray(to_bytes(run(session, chw)[0]).transpose(1, 2, 0))
    luma, *chroma = picture.convert("YCbCr").split()
    upscaled = to_bytes(run(session, np.asarray(luma, dtype=np.float32)[None, None] / np.float32(255))[0, 0])
    size = (upscaled.shape[1], upscaled.shape[0])
    planes = [Image.fromarray(upscaled), *(plane.resize(size, Image.Resampling.LANCZOS) for plane in chroma)]
    return np.asarray(Image.merge("YCbCr", planes).convert("RGB"))


def run(session: onnxruntime.InferenceSession, tensor: np.ndarray) -> np.ndarray:
    return session.run(None, {session.get_inputs()[0].name: tensor})[0]


def to_bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def save(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture).save(path, compress_level=1)


def rate(source: str) -> str:
    query = ["-select_streams", "v:0", "-show_entries", "stream=r_frame_rate", "-of", "csv=p=0"]
    return subprocess.run(["ffprobe", "-v", "error", *query, source], check=True, capture_output=True, text=True).stdout.strip()


def encode(folder: Path, frames_per_second: str, target: str) -> None:
    pictures = ["-framerate", frames_per_second, "-i", str(folder / "frame_%05d.png")]
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", CRF, "-pix_fmt", "yuv420p"]
    subprocess.run([*FFMPEG, *pictures, *x264, target], check=True)


if __name__ == "__main__":
    main()
