#!/usr/bin/env python3
"""Write the benchmark network: the shape of a small luma upscaler, with random weights.

    python3 training/plain_luma.py benches/data/plain_luma.onnx

Six 3x3 convolutions of 16 channels with ReLU between them, x2 by DepthToSpace, added to the input repeated 2x2. It
costs as much as a trained network of that shape (9,936 multiplications per input pixel) and produces a recognisable
picture. It is not shipped, only timed. The weights come from a fixed seed; the output is the same bytes on every run.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 16
CONVOLUTIONS = 6
SEED = 20240607
# Keeps the residual within a few per cent of full scale.
RESIDUAL = 0.02


def build() -> onnx.ModelProto:
    """The model, checked."""
    random = np.random.Generator(np.random.PCG64(SEED))
    widths = [1] + [CHANNELS] * (CONVOLUTIONS - 1) + [4]
    nodes, initializers = [], []
    tensor = "input"
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        last = index == CONVOLUTIONS - 1
        # He et al. 2015: variance 2 / fan-in keeps the signal's magnitude from layer to layer.
        scale = np.sqrt(2.0 / (inputs * 9)) * (RESIDUAL if last else 1.0)
        weights = (random.standard_normal((outputs, inputs, 3, 3)) * scale).astype(np.float32)
        initializers += [
            numpy_helper.from_array(weights, f"weights{index}"),
            numpy_helper.from_array(np.zeros(outputs, dtype=np.float32), f"bias{index}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv", [tensor, f"weights{index}", f"bias{index}"], [f"conv{index}"],
                kernel_shape=[3, 3], pads=[1, 1, 1, 1],
            )
        )
        tensor = f"conv{index}"
        if not last:
            nodes.append(helper.make_node("Relu", [tensor], [f"relu{index}"]))
            tensor = f"relu{index}"
    # One channel added to four: the input, repeated 2x2 by DepthToSpace.
    nodes.append(helper.make_node("Add", [tensor, "input"], ["sum"]))
    nodes.append(helper.make_node("DepthToSpace", ["sum"], ["output"], blocksize=2))
    graph = helper.make_graph(
        nodes,
        "plain_luma",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "height_x2", "width_x2"])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="training/plain_luma.py"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    output = Path(sys.argv[1])
    data = build().SerializeToString(deterministic=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(data)
    print(f"{output}: {len(data)} bytes")


if __name__ == "__main__":
    main()
