#!/usr/bin/env python3
"""Called by meson.build: builds with Cargo, copies the results to where meson expects them, and writes a depfile."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cargo", required=True)
    parser.add_argument("--profile", choices=["dev", "release"], required=True)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--target-dir", type=pathlib.Path, required=True)
    parser.add_argument("--depfile", type=pathlib.Path, required=True)
    parser.add_argument("outputs", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or options.target_dir).absolute()
    command = [options.cargo, "build", "--locked", "--lib", "--bins", "--profile", options.profile]
    command += ["--manifest-path", options.manifest, "--target-dir", str(target)]
    status = subprocess.run(command, check=False).returncode
    if status:
        sys.exit(status)

    built = target / ("debug" if options.profile == "dev" else options.profile)
    sources = []
    for output in options.outputs:
        # Under a temporary name first: a plugin must not change while a program uses it.
        part = output.with_name(output.name + ".part")
        shutil.copy2(built / output.name, part)
        os.utime(part)
        part.replace(output)
        # Cargo's depfile is a single make rule: "target: source source ...".
        rule = (built / output.name).with_suffix(".d").read_text(encoding="utf-8")
        sources.append(rule.split(": ", 1)[1].strip())
    outputs = " ".join(str(output) for output in options.outputs)
    options.depfile.write_text(f"{outputs}: {' '.join(sources)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
