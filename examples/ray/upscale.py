#!/usr/bin/env python3
"""Upscales the segments in a folder on a Ray cluster, and joins them: see docs/ray.md."""

import argparse
import os
import subprocess
import sys

import ray

TRY_AGAIN = 75


class TryAgain(Exception):
    """The segment may be done at another time or on another node."""


def numbers(text):
    """Reads `3,5-9`."""
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def upscale(folder, number):
    code = subprocess.run(["gst-upscale", "segments", "run", "--quiet", folder, str(number)]).returncode
    # Below 0: killed by a signal.
    if code == TRY_AGAIN or code < 0 or code > 128:
        raise TryAgain(f"segment {number}: exit code {code}")
    return number, code


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the segments were planned")
    parser.add_argument("out", help="the result")
    parser.add_argument("--address", help="the cluster [default: a new one on this machine]")
    parser.add_argument("--cpus", type=float, default=1, help="cores for a segment")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs for a segment")
    args = parser.parse_args()
    folder, out = os.path.abspath(args.folder), os.path.abspath(args.out)

    status = subprocess.run(["gst-upscale", "segments", "status", "--missing", folder], stdout=subprocess.PIPE, text=True)
    if status.returncode not in (0, TRY_AGAIN):
        return status.returncode
    ray.init(address=args.address)
    task = ray.remote(upscale).options(
        num_cpus=args.cpus, num_gpus=args.gpus, max_retries=10, retry_exceptions=[TryAgain]
    )
    waiting = [task.remote(folder, number) for number in numbers(status.stdout)]
    count = len(waiting)
    while waiting:
        done, waiting = ray.wait(waiting)
        number, code = ray.get(done[0])
        if code != 0:
            return code
        print(f"segment {number} is done, {count - len(waiting)} of {count}", flush=True)
    return subprocess.run(["gst-upscale", "segments", "join", "--overwrite", folder, out]).returncode


if __name__ == "__main__":
    sys.exit(main())
