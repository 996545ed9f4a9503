#!/usr/bin/env python3
"""Write the built-in network `lanczos2x`: a Lanczos-3 enlargement by 2 as one ONNX convolution.

    pip install -r training/requirements.txt
    python3 training/lanczos2x.py [models/lanczos2x.onnx]

Input and output have one channel (luma) of 32-bit floats, in any size from 1x1:

    Pad (3 pixels, edge) -> Conv 7x7, 1 -> 4 channels -> DepthToSpace 2

Each of the four channels is one of the 2x2 output pixels that an input pixel becomes. The centre of output pixel `o`
lies at (o + 0.5) / 2 - 0.5 in input pixels: a quarter of a pixel before or after the input pixel's centre. Beyond the
edge, the outermost pixel is repeated, so that borders do not darken. Elsewhere the result equals Pillow's `resize(...,
LANCZOS)` on a picture of mode F (Pillow's 8-bit path clips between the two passes, and it drops the taps beyond the
border).

The output is the same bytes on every run.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LOBES = 3
TAPS = 2 * LOBES + 1
DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "models" / "lanczos2x.onnx"


def lanczos(x: np.ndarray) -> np.ndarray:
    """The Lanczos kernel sinc(x) * sinc(x / LOBES) for |x| < LOBES, else 0 (Duchon 1979)."""
    return np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)


def phase(offset: float) -> np.ndarray:
    """TAPS weights, float64, sum 1, for an output pixel `offset` input pixels to the right of the middle tap."""
    weights = lanczos(np.arange(-LOBES, LOBES + 1) - offset)
    return weights / weights.sum()


def kernels() -> np.ndarray:
    """The four kernels, float32 [4, 1, TAPS, TAPS], in the order of DepthToSpace: row by row"""
    phases = [phase(-0.25), phase(+0.25)]
    weights = np.stack([np.outer(row, column) for row in phases for column in phases])[:, None].astype(np.float32)
    # Rounding to float32 changes the sum by about 1e-8; the largest weight compensates, so that solid pictures are
    # unchanged.
    for kernel in weights.reshape(4, -1):
        largest = kernel.argmax()
        kernel[largest] = np.float32(1.0 - (kernel.astype(np.float64).sum() - np.float64(kernel[largest])))
    return weights


def build() -> onnx.ModelProto:
    """The model, checked."""
    pads = np.array([0, 0, LOBES, LOBES, 0, 0, LOBES, LOBES], dtype=np.int64)
    graph = helper.make_graph(
        nodes=[
            helper.make_node("Pad", ["input", "pads"], ["padded"], name="edge", mode="edge"),
            helper.make_node("Conv", ["padded", "kernels"], ["phases"], name="lanczos", kernel_shape=[TAPS, TAPS]),
            helper.make_node("DepthToSpace", ["phases"], ["output"], name="interleave", blocksize=2, mode="DCR"),
        ],
        name="lanczos2x",
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, "height", "width"])],
        outputs=[helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "height_x2", "width_x2"])],
        initializer=[numpy_helper.from_array(pads, "pads"), numpy_helper.from_array(kernels(), "kernels")],
        doc_string="Lanczos-3 enlargement by 2 of one channel, edges replicated.",
    )
    # ONNX Runtime 1.6 and later versions read opset 13 and IR 7.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="training/lanczos2x.py"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT
    data = build().SerializeToString(deterministic=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(data)
    print(f"{output}: {len(data)} bytes")


if __name__ == "__main__":
    main()
