#!/usr/bin/env python3
"""Measure the ancestor's way (ancestor.py) and `gst-upscale` side by side: same clip, network, encoder and preset.

`script/bench ancestor` runs it. Prints a table in Markdown: medians of alternating rounds, the time from start to end
of each program, and the peak resident memory of any one of its processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
MEMORY_GOAL = 0.5
FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-y"]


@dataclass
class Case:
    name: str
    model: Path
    # Required speed-up of gst-upscale.
    goal: float


@dataclass
class Run:
    seconds: float
    peak_bytes: int


def main() -> None:
    arguments = parse()
    cases = [
        Case("16-channel luma", ROOT / "benches" / "data" / "plain_luma.onnx", 2.5),
        Case(
            "AnimeJaNai SuperUltraCompact",
            SHARED / "models" / "animejanai" / "2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32.onnx",
            1.5,
        ),
    ]
    check_command(arguments.command)
    if not arguments.clip.exists():
        sys.exit(f"{arguments.clip} not found; use --clip to name another clip")
    with tempfile.TemporaryDirectory() as folder:
        clip, rounds = arguments.clip, arguments.rounds
        if arguments.quick:
            clip, rounds = cut(clip, Path(folder)), 1
        frames = count_frames(clip)
        print(heading(clip, frames, rounds, arguments.quick))
        for case in cases:
            if case.model.exists():
                print(compare(case, clip, frames, rounds, arguments.command, Path(folder)), flush=True)
            else:
                print(f"*** SKIPPED: {case.model} not found ***", file=sys.stderr)
                print(f"| {case.name} | not measured: the model was not found | | | | |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of 12 frames, to check that everything works")
    parser.add_argument("--clip", type=Path, default=SHARED / "clips" / "test-videos-co-uk" / "Sintel_360_10s_1MB.mp4")
    parser.add_argument("--command", default="gst-upscale", help="the gst-upscale to measure")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least one")
    return arguments


def check_command(command: str) -> None:
    try:
        version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"Cannot run gst-upscale: {error}")
    if not version.startswith("gst-upscale"):
        sys.exit(f"{command} is not built: it does not print its version")


def compare(case: Case, clip: Path, frames: int, rounds: int, command: str, folder: Path) -> str:
    """Returns the table rows of one network."""
    old, new = [], []
    ancestor = [sys.executable, str(HERE / "ancestor.py"), str(case.model), str(clip), str(folder / "old.mp4")]
    ours = [command, "--quiet", "--overwrite", "--preset", "veryfast", "--model", str(case.model), str(clip), str(folder / "new.mp4")]
    for number in range(rounds):
        for name, line, runs in (("ancestor", ancestor, old), ("gst-upscale", ours, new)):
            print(f"{case.name}: {name}, round {number + 1} of {rounds}", file=sys.stderr)
            runs.append(measure(line))
    for name in ("old.mp4", "new.mp4"):
        if (got := count_frames(folder / name)) != frames:
            sys.exit(f"{name} has {got} frames, not {frames}")
    times = {name: statistics.median(run.seconds for run in runs) for name, runs in (("old", old), ("new", new))}
    peaks = {name: max(run.peak_bytes for run in runs) for name, runs in (("old", old), ("new", new))}
    speed, memory = times["old"] / times["new"], peaks["new"] / peaks["old"]
    verdict = "met" if speed >= case.goal and memory < MEMORY_GOAL else "MISSED"
    line = "| {} | {} | {:.1f} | {:.2f} | {} | {} |".format
    return "\n".join([
        line(case.name, "the ancestor's way", times["old"], frames / times["old"], megabytes(peaks["old"]), ""),
        line(
            case.name, "gst-upscale", times["new"], frames / times["new"], megabytes(peaks["new"]),
            f"{speed:.2f} times as fast, {memory:.2f} of the memory (goal: {case.goal}, under {MEMORY_GOAL}: {verdict})",
        ),
    ])


def measure(line: list[str]) -> Run:
    """Runs a program. This process stays small, because Linux counts its memory into the peak of its children."""
    start = time.monotonic()
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{line[0]} failed with exit status {process.returncode}")
    return Run(seconds, usage.ru_maxrss * 1024)


def count_frames(clip: Path) -> int:
    query = ["-select_streams", "v:0", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    done = subprocess.run(["ffprobe", "-v", "error", *query, str(clip)], check=True, capture_output=True, text=True)
    return int(done.stdout.strip().rstrip(","))


def cut(clip: Path, folder: Path) -> Path:
    short = folder / "short.mp4"
    # Without chapters: FFmpeg writes them as a track at which GStreamer 1.22 stops reading.
    line = [*FFMPEG, "-i", str(clip), "-frames:v", "12", "-an", "-map_chapters", "-1", "-c:v", "libx264", str(short)]
    subprocess.run(line, check=True)
    return short


def heading(clip: Path, frames: int, rounds: int, quick: bool) -> str:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    lines = ["", f"{now}: {model}, {os.cpu_count()} cores. {clip.name}, {frames} frames; x264 veryfast; alternating rounds: {rounds}.", ""]
    if (load := os.getloadavg()[0]) > 0.5:
        lines += [f"**The machine was not quiet at the start: load {load:.2f}.**", ""]
    if quick:
        lines += ["**A quick run: the figures are meaningless.**", ""]
    return "\n".join([
        *lines, "| network | what runs | seconds, median | frames/s | peak memory, MB | |", "|---|---|---:|---:|---:|---|",
    ])


def megabytes(count: int) -> int:
    return -(-count // 1_000_000)


if __name__ == "__main__":
    main()
