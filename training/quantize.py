#!/usr/bin/env python3
"""Make the int8 form of a network: its ONNX graph with QuantizeLinear and DequantizeLinear around the convolutions.

    python3 training/quantize.py models/fast2x.onnx fast2x-int8.onnx --pictures PHOTOS RENDERED --steps 800
    python3 training/quantize.py another.onnx another-int8.onnx --pictures PHOTOS            calibration only

Quantised are:
- the inputs of convolutions, as uint8. The graph's input (0..1) has the scale 1/255, which is exact for 8-bit video.
  Tensors without negative values have zero point 0. Ranges are 99.999th percentiles over patches of the pictures;
- weights, as symmetric int8 with one scale per output channel, and biases, as int32.

Everything else stays float: the last convolution's output, the addition of the input and the pixel shuffle need more
than 8 bits.

`--steps` fine-tunes a network written by export.py. It learns to match its own float form with straight-through
rounding and learned activation scales (LSQ, Esser et al. 2020). Without it the network is only calibrated, which also
works for third-party networks: compare the two forms with evaluate.py. The same arguments and library versions produce
the same bytes.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from data import Pairs
from evaluate import KERNELS
from network import from_onnx
from pictures import luma, pictures
from quantized_network import QuantizedNetwork, fine_tune, weight_scales

SEED = 20261126
# Patches for calibration, their size, and the maximum number of values used per tensor and patch.
PATCHES, PATCH = 96, 96
VALUES = 40_000
# At the 99.99th percentile, the strokes of line art lose up to a fifth of full scale.
PERCENTILE = 99.999
# Share of the first folder's pictures in fine-tuning.
FIRST_SHARE = 0.7
# Negative values up to this share of the range are clipped instead of using a zero point.
MAX_CLIPPED = 0.001
MIN_OPSET = 13


@dataclass(frozen=True)
class Range:
    """A tensor's uint8 encoding: value = scale * (code - zero)."""

    scale: float
    zero: int = 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pictures", nargs="+", type=Path, required=True, help="folders of calibration pictures")
    parser.add_argument("--steps", type=int, default=0, help="fine-tuning steps; needs a network of export.py")
    parser.add_argument("--float-first", action="store_true", help="keep the first convolution in float")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def convolutions(model: onnx.ModelProto, float_first: bool) -> list[onnx.NodeProto]:
    """The convolutions to quantise: all that have constant weights, in order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants]
    return found[1:] if float_first else found


def patches(folders: list[Path], channels: int, scale: int) -> list[np.ndarray]:
    """Input patches, float32 [1, channels, PATCH, PATCH], 0..1, from random places, alternating between kernels."""
    random = np.random.Generator(np.random.PCG64(SEED))
    files = [path for folder in folders for path in pictures(folder)]
    filters, found = list(KERNELS.values()), []
    for index in range(PATCHES):
        with Image.open(files[random.integers(len(files))]) as opened:
            picture = opened.convert("RGB")
        side = PATCH * scale
        reduction = max(side / min(picture.size), random.choice([1.0, 0.7, 0.5]))
        picture = picture.resize([round(length * reduction) for length in picture.size], Image.Resampling.LANCZOS)
        left, top = (int(random.integers(0, length - side + 1)) for length in picture.size)
        small = picture.crop((left, top, left + side, top + side)).resize((PATCH, PATCH), filters[index % len(filters)])
        planes = luma(small)[None] if channels == 1 else np.asarray(small).transpose(2, 0, 1)
        found.append(planes[None].astype(np.float32) / 255)
    return found


def calibrate(model: onnx.ModelProto, tensors: list[str], samples: list[np.ndarray]) -> dict[str, Range]:
    """The range of each of these tensors over the patches."""
    source = model.graph.input[0].name
    inner = [name for name in tensors if name != source]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values: dict[str, list[np.ndarray]] = {name: [] for name in inner}
    for sample in samples:
        for name, value in zip(inner, session.run(inner, {source: sample})):
            flat = value.ravel()
            values[name].append(flat[:: max(1, len(flat) // VALUES)])
    ranges = {source: Range(1 / 255)}
    for name, parts in values.items():
        low, high = np.percentile(np.concatenate(parts), [100 - PERCENTILE, PERCENTILE])
        low = 0.0 if low > -MAX_CLIPPED * high else float(low)
        scale = max(float(high) - low, 1e-6) / 255
        ranges[name] = Range(float(np.float32(scale)), round(-low / scale))
    return ranges


class Rewriter:
    """Inserts quantisation into a copy of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.weights = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
        self.added: dict[str, onnx.TensorProto] = {}
        self.activations: dict[str, str] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an initializer and return its name."""
        self.added[name] = numpy_helper.from_array(value, name)
        return name

    def activation(self, name: str, stored: Range, nodes: list[onnx.NodeProto]) -> str:
        """Quantise a tensor to uint8 and return the new name; all its readers share one pair of nodes."""
        if name not in self.activations:
            scale = self.constant(f"{name}_scale", np.float32(stored.scale))
            zero = self.constant(f"{name}_zero", np.uint8(stored.zero))
            nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}_codes"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_codes", scale, zero], [f"{name}_stored"]))
            self.activations[name] = f"{name}_stored"
        return self.activations[name]

    def weight(self, name: str, nodes: list[onnx.NodeProto]) -> tuple[str, np.ndarray]:
        """Quantise a kernel to int8; return the new name and the scales."""
        kernel = self.weights[name]
        scales = weight_scales(torch.from_numpy(kernel)).numpy()
        codes = np.rint(kernel / scales.reshape(-1, *[1] * (kernel.ndim - 1))).clip(-127, 127).astype(np.int8)
        given = [
            self.constant(f"{name}_codes", codes), self.constant(f"{name}_scale", scales),
            self.constant(f"{name}_zero", np.zeros(len(scales), np.int8)),
        ]  # fmt: skip
        nodes.append(helper.make_node("DequantizeLinear", given, [f"{name}_stored"], axis=0))
        return f"{name}_stored", scales

    def bias(self, name: str, scales: np.ndarray, nodes: list[onnx.NodeProto]) -> str:
        """Quantise a bias to int32 with the scale of the accumulator, and return the new name."""
        codes = np.rint(self.weights[name] / scales).astype(np.int32)
        given = [
            self.constant(f"{name}_codes", codes), self.constant(f"{name}_scale", scales.astype(np.float32)),
            self.constant(f"{name}_zero", np.zeros(len(scales), np.int32)),
        ]  # fmt: skip
        nodes.append(helper.make_node("DequantizeLinear", given, [f"{name}_stored"], axis=0))
        return f"{name}_stored"

    def run(self, chosen: list[onnx.NodeProto], ranges: dict[str, Range]) -> onnx.ModelProto:
        """The quantised graph, checked."""
        graph, names, nodes = self.model.graph, {node.output[0] for node in chosen}, []
        for node in graph.node:
            if node.output[0] in names:
                source = node.input[0]
                node.input[0] = self.activation(source, ranges[source], nodes)
                node.input[1], scales = self.weight(node.input[1], nodes)
                if len(node.input) > 2 and node.input[2] in self.weights:
                    node.input[2] = self.bias(node.input[2], scales * np.float32(ranges[source].scale), nodes)
            nodes.append(node)
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend([*kept, *self.added.values()])
        self.model.producer_name = "training/quantize.py"
        onnx.checker.check_model(self.model, full_check=True)
        return self.model


def tune(model: onnx.ModelProto, options: argparse.Namespace, ranges: dict[str, Range], scale: int) -> dict[str, Range]:
    """Fine-tune: write the new weights to `model`, return the new ranges."""
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    sources = [node.input[0] for node in layers]
    scales = [ranges[name].scale if name in ranges else None for name in sources]
    network = QuantizedNetwork(from_onnx(options.model), scales, scale)
    pairs = Pairs(scale, SEED)
    for index, folder in enumerate(options.pictures):
        pairs.add_pictures(FIRST_SHARE if index == 0 else (1 - FIRST_SHARE) / (len(options.pictures) - 1), folder)
    fine_tune(network, pairs, options.steps)
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    for node, kernel, bias in zip(layers, network.kernels, network.biases):
        for name, tensor in ((node.input[1], kernel), (node.input[2], bias)):
            values[name].CopyFrom(numpy_helper.from_array(tensor.detach().numpy(), name))
    return {name: Range(float(learned)) for name, learned in zip(sources, network.scales()) if learned is not None}


def enlargement(model: onnx.ModelProto, channels: int) -> int:
    """The network's scale factor."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sample = np.zeros((1, channels, PATCH, PATCH), np.float32)
    return session.run(None, {model.graph.input[0].name: sample})[0].shape[2] // PATCH


def main() -> None:
    options = arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    model = onnx.load(options.model)
    given = model.graph.input[0].type.tensor_type
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    if opset < MIN_OPSET or given.elem_type != TensorProto.FLOAT:
        raise SystemExit(f"{options.model}: needs float32 input and opset {MIN_OPSET} or later; this one has opset {opset}")
    channels = given.shape.dim[1].dim_value
    scale = enlargement(model, channels)
    chosen = convolutions(model, options.float_first)
    tensors = list(dict.fromkeys(node.input[0] for node in chosen))
    ranges = calibrate(model, tensors, patches(options.pictures, channels, scale))
    if options.steps:
        ranges = tune(model, options, ranges, scale)
    data = Rewriter(model).run(chosen, ranges).SerializeToString(deterministic=True)
    onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    options.output.write_bytes(data)
    print(f"{options.output}: {len(data)} bytes, {len(chosen)} convolutions in int8")


if __name__ == "__main__":
    main()
