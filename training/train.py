#!/usr/bin/env python3
"""Train one of the built-in models.

    python3 training/train.py fast2x --pictures PHOTOS RENDERED --steps 60000 --output fast2x.pt
    python3 training/train.py fast2x-compressed --pictures PHOTOS RENDERED --compressed CLIPS --start fast2x.pt \\
        --steps 12000 --output fast2x-compressed.pt

PHOTOS is a folder of pictures, RENDERED is written by render.py, CLIPS by compress.py for the model's factor. Runs on
CUDA if available, otherwise on the CPU. The same arguments, library versions and number of threads produce the same
weights.

The learning rate is constant until the last `--decay` steps and then follows a cosine to zero. A run can be killed at
any time and continues from its last checkpoint (OUTPUT.resume), also with a different number of steps. Progress reports
are appended to OUTPUT.log: step, seconds since the start or the last resumption, loss, and PSNR for each kernel.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from data import Pairs, pair
from evaluate import KERNELS, psnr, to_bytes
from network import MODELS, Network, from_onnx
from pictures import pictures
from soap import Soap

SEED = 20261124
BATCH = 16
PATCH = 64
WARM_UP = 500
# Zero padding affects the border of a patch (in small pixels), so it gets a smaller weight in the loss.
BORDER, BORDER_WEIGHT = 5, 0.2
# Large gradients are clipped: in deep networks, a single bad step can make all ReLUs die.
LARGEST_GRADIENT = 0.5
# Added to the squared error (40 dB): without it, flat patches would dominate the logarithm.
LEAST_ERROR = 1e-4
# Decay of the moving average of the weights.
AVERAGE = 0.9995
REPORT = 2000
CHECKPOINT_SECONDS = 180
# Compressed models are meant for decoded frames; a few clean ones keep them from blurring well-encoded video.
SHARE_OF_COMPRESSED = 0.85


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--pictures", nargs="+", type=Path, required=True, help="folders of pictures")
    # Animation and screens are upscaled often, but their edges dominate the loss, and photographs are harder.
    parser.add_argument("--first-share", type=float, default=0.9, help="share of the first folder (default: 0.9)")
    parser.add_argument("--compressed", type=Path, help="folder of clips made by compress.py")
    parser.add_argument("--start", type=Path, help="initial weights (.pt or .onnx), where shapes match")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--decay", type=int, help="steps over which the rate falls (default: 3 in 10)")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (default: 1e-3)")
    parser.add_argument("--validate", type=Path, help="folder of pictures to report the PSNR on; not trained on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


def data(options: argparse.Namespace, scale: int) -> Pairs:
    """Loads all training data."""
    pairs = Pairs(scale, SEED)
    clean = 1.0 - SHARE_OF_COMPRESSED if options.compressed else 1.0
    others = len(options.pictures) - 1
    for index, folder in enumerate(options.pictures):
        share = 1.0 if others == 0 else options.first_share if index == 0 else (1 - options.first_share) / others
        pairs.add_pictures(clean * share, folder)
    if options.compressed:
        pairs.add_compressed(SHARE_OF_COMPRESSED, options.compressed)
    return pairs


def load_matching(network: Network, path: Path) -> None:
    """Copy the weights that fit; layers with another shape (the last one, for another factor) keep theirs."""
    if path.suffix == ".onnx":
        network.set_convolutions(from_onnx(path))
        return
    own = network.state_dict()
    for name, tensor in torch.load(path, weights_only=True).items():
        if name in own and own[name].shape == tensor.shape:
            own[name] = tensor
    network.load_state_dict(own)


def mean_psnr(network: Network, folder: Path, device: torch.device) -> dict[str, float]:
    """Mean PSNR in dB over a folder for each kernel, by the protocol of evaluate.py, in PyTorch."""
    scale, means = network.shape.scale, {}
    for name, filter_ in KERNELS.items():
        values = []
        for path in pictures(folder):
            with Image.open(path) as picture:
                small, large = pair(picture.convert("RGB"), scale, filter_)
            with torch.no_grad():
                result = network(torch.tensor(small, device=device)[None, None].float() / 255)
            values.append(psnr(to_bytes(result[0, 0].cpu().numpy()), large))
        means[name] = float(np.mean(values))
    return means


def weights(size: int, scale: int) -> torch.Tensor:
    """Weight of each pixel of a large patch in the loss, [size * scale, size * scale]; their mean is 1."""
    counts = torch.full((size * scale, size * scale), BORDER_WEIGHT)
    border = BORDER * scale
    counts[border:-border, border:-border] = 1.0
    return counts / counts.mean()


def decibels(result: torch.Tensor, high: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The mean over patches of the logarithm of the squared error: PSNR without its sign and factor.

    Every patch has the same weight, however strong its edges are. Plain squared errors are dominated by rendered text.
    """
    squared = (F.mse_loss(result, high, reduction="none") * counts).mean((1, 2, 3))
    return 0.01 * torch.log(squared + LEAST_ERROR).mean()


def replace(state: dict, path: Path) -> None:
    """Write `state` atomically: a kill leaves either the old file or the new one."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def main() -> None:
    options = arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Network(MODELS[options.model]).to(device)
    if options.start:
        load_matching(network, options.start)
    pairs = data(options, network.shape.scale)
    optimizer = Soap(network.parameters(), options.rate)
    average = copy.deepcopy(network)
    decay = options.decay if options.decay is not None else options.steps * 3 // 10
    first, warm_up_from, resume = 0, 0, options.output.with_suffix(".resume")
    if resume.exists():
        state = torch.load(resume, weights_only=False)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        # Checkpoints in the repository do not contain the optimizer's state, which is ten times as large as the rest.
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
        else:
            warm_up_from = state["step"]
        pairs.random.bit_generator.state = state["random"]
        first = state["step"]
        print(f"{options.model}: resumed at step {first}", flush=True)

    counts = weights(PATCH, network.shape.scale).to(device)
    begun, total, saved, since = time.monotonic(), 0.0, time.monotonic(), first
    for step in range(first, options.steps):
        remaining = min(1.0, (options.steps - step) / max(1, decay))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min((1 - math.cos(math.pi * remaining)) / 2, (step + 1 - warm_up_from) / WARM_UP)
        low, high = (tensor.to(device) for tensor in pairs.batch(BATCH, PATCH))
        # Half precision is twice as fast on processors and GPUs that support it; the last, finest steps use the exact
        # weights.
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=remaining > 0.2):
            result = network(low)
        loss = decibels(result.float(), high, counts)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        total += loss.item()
        with torch.no_grad():
            keep = min(AVERAGE, (step + 1) / (step + 20))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
        done = step + 1
        last = done == options.steps
        if last or time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            state = {
                "network": network.state_dict(), "average": average.state_dict(), "step": done,
                "optimizer": optimizer.state_dict(), "random": pairs.random.bit_generator.state,
            }  # fmt: skip
            replace(state, resume)
        if last or done % REPORT == 0:
            figures = mean_psnr(average, options.validate, device) if options.validate else {}
            text = "".join(f", {name} {figure:.3f}" for name, figure in figures.items())
            text += f", mean {np.mean(list(figures.values())):.3f} dB" if figures else ""
            line = f"{options.model}: step {done}, {time.monotonic() - begun:.0f} s, loss {total / (done - since):.5f}{text}"
            print(line, flush=True)
            with options.output.with_suffix(".log").open("a") as log:
                print(line, file=log)
            total, since = 0.0, done
    replace(average.state_dict(), options.output)


if __name__ == "__main__":
    main()
