#!/usr/bin/env python3
"""Write trained weights as the ONNX file that the plugin embeds.

    python3 training/export.py fast2x fast2x.pt models/fast2x.onnx

The graph is Conv -> Relu -> ... -> Conv -> Add (the input, by broadcast) -> DepthToSpace; float32 [1, 1, height, width]
-> [1, 1, scale*height, scale*width]. The output is the same bytes on every run. The exported model's result is compared
with PyTorch's.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from network import MODELS, Network

# The maximum difference due to the order of float32 additions, relative to full scale; one 8-bit step is 0.004.
TOLERANCE = 1e-4


def build(network: Network, name: str) -> onnx.ModelProto:
    """The model, checked."""
    scale = network.shape.scale
    nodes, initializers = [], []
    tensor, convolutions = "input", network.convolutions()
    for index, (kernel, bias) in enumerate(convolutions):
        initializers += [
            numpy_helper.from_array(kernel.float().cpu().numpy(), f"kernel{index}"),
            numpy_helper.from_array(bias.float().cpu().numpy(), f"bias{index}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv", [tensor, f"kernel{index}", f"bias{index}"], [f"conv{index}"],
                kernel_shape=list(kernel.shape[2:]), pads=[kernel.shape[2] // 2] * 4,
            )
        )
        tensor = f"conv{index}"
        if index + 1 < len(convolutions):
            nodes.append(helper.make_node("Relu", [tensor], [f"relu{index}"]))
            tensor = f"relu{index}"
    nodes.append(helper.make_node("Add", [tensor, "input"], ["sum"]))
    nodes.append(helper.make_node("DepthToSpace", ["sum"], ["output"], blocksize=scale, mode="CRD"))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "output_height", "output_width"])],
        initializers,
    )
    # ONNX Runtime 1.6 and later versions read opset 13 and IR 7.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="training/export.py"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    network = Network(MODELS[options.model]).eval()
    network.load_state_dict(torch.load(options.weights, weights_only=True))
    data = build(network, options.model).SerializeToString(deterministic=True)

    sample = np.random.Generator(np.random.PCG64(1)).random((1, 1, 45, 64), dtype=np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {"input": sample})
    with torch.no_grad():
        difference = float(np.abs(network(torch.from_numpy(sample)).numpy() - exported).max())
    if difference > TOLERANCE:
        raise SystemExit(f"{options.model}: the exported model differs from the trained one by {difference:.2e}")
    options.output.write_bytes(data)
    print(f"{options.output}: {len(data)} bytes, differs from PyTorch by {difference:.1e} at most")


if __name__ == "__main__":
    main()
