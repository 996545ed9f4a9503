#!/usr/bin/env python3
"""Write the tiny networks beside this script that `tests/models.rs` loads: odd but sound ones, and ones that must be refused.

    pip install -r training/requirements.txt
    python3 tests/data/make_models.py

Each is under 1 kB, and the same bytes on every run.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parent
FLOAT, UINT8, DOUBLE = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.DOUBLE
ANY = [1, 1, "h", "w"]
FREE = [1, 1, None, None]


def write(name, nodes, inputs, outputs, initializers=(), domains=()):
    """`inputs` and `outputs` are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*value) for value in inputs],
        [value if hasattr(value, "type") else helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(array), key) for key, array in initializers],
    )
    opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    save(name, model)


def save(name, model):
    data = model.SerializeToString(deterministic=True)
    assert len(data) < 1000, name
    (FOLDER / f"{name}.onnx").write_bytes(data)


def resize(name, scales, element=FLOAT, shape=None, mode="nearest"):
    node = helper.make_node(
        "Resize", ["x", "", "scales"], ["y"],
        mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )
    write(name, [node], [("x", element, shape or ANY)], [("y", element, FREE)], [("scales", np.float32(scales))])


def identity(name, shape, element=FLOAT):
    write(name, [helper.make_node("Identity", ["x"], ["y"])], [("x", element, shape)], [("y", element, shape)])


def sound():
    resize("uint8_x2", [1, 1, 2, 2], UINT8)
    resize("fixed_8x6_x3", [1, 1, 3, 3], shape=[1, 1, 6, 8])
    resize("linear_x3", [1, 1, 3, 3], mode="linear")
    identity("same_size", ["n", 1, "h", "w"])
    write(
        "multiple_of_4",
        [helper.make_node("SpaceToDepth", ["x"], ["d"], blocksize=4), helper.make_node("DepthToSpace", ["d"], ["y"], blocksize=4)],
        [("x", FLOAT, ANY)], [("y", FLOAT, FREE)],
    )
    # Reflection takes 4 pixels beside the edge, so there must be at least 5.
    write(
        "at_least_5",
        [
            helper.make_node("Pad", ["x", "pads"], ["p"], mode="reflect"),
            helper.make_node("AveragePool", ["p"], ["y"], kernel_shape=[9, 9]),
        ],
        [("x", FLOAT, ANY)], [("y", FLOAT, FREE)], [("pads", np.int64([0, 0, 4, 4, 0, 0, 4, 4]))],
    )
    write(
        "free_channels",
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        [("x", FLOAT, [1, "c", "h", "w"])], [("y", FLOAT, [1, None, None, None])],
        [("w", np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1))],
    )
    # Cuts at 64 rows: what it gives for the tiny pictures of the probe is right, for a frame it is not.
    write(
        "cuts_at_64_rows",
        [helper.make_node("Slice", ["x", "from", "to", "axis"], ["y"])],
        [("x", FLOAT, ANY)], [("y", FLOAT, FREE)],
        [("from", np.int64([0])), ("to", np.int64([64])), ("axis", np.int64([2]))],
    )


def refused():
    resize("scale_1_5", [1, 1, 1.5, 1.5])
    resize("scale_2_by_1", [1, 1, 2, 1])
    resize("declared_scale_1_5", [1, 1, 1.5, 1.5], shape=[1, 1, 6, 8])
    identity("rank_3", [3, "h", "w"])
    identity("channels_last", [1, "h", "w", 3])
    identity("four_channels", [1, 4, "h", "w"])
    identity("batch_of_2", [2, 1, "h", "w"])
    identity("double", ANY, DOUBLE)
    identity("encoded_bytes", ["n"], UINT8)
    write("two_inputs", [helper.make_node("Add", ["x", "z"], ["y"])], [("x", FLOAT, ANY), ("z", FLOAT, ANY)], [("y", FLOAT, ANY)])
    write("two_outputs", [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
          [("x", FLOAT, ANY)], [("y", FLOAT, ANY), ("z", FLOAT, ANY)])
    write("no_output", [helper.make_node("Identity", ["x"], ["y"])], [("x", FLOAT, ANY)], [])
    write("fewer_channels", [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])], [("x", FLOAT, [1, 3, "h", "w"])], [("y", FLOAT, FREE)])
    write("unknown_operator", [helper.make_node("Sharpen", ["x"], ["y"], domain="org.example")],
          [("x", FLOAT, ANY)], [("y", FLOAT, ANY)], domains=["org.example"])
    sequence = helper.make_tensor_sequence_value_info("y", FLOAT, ANY)
    write("sequence", [helper.make_node("SequenceConstruct", ["x"], ["y"])], [("x", FLOAT, ANY)], [sequence])
    # A constant shape inside: no size but 5x5 runs, which is not declared.
    write("hidden_fixed_size", [helper.make_node("Reshape", ["x", "s"], ["y"])],
          [("x", FLOAT, ANY)], [("y", FLOAT, FREE)], [("s", np.int64([1, 1, 5, 5]))])
    missing_data()
    newer()


def missing_data():
    weights = TensorProto(name="w", data_type=FLOAT, dims=[1, 1, 3, 3], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "gone.data"), ("offset", "0"), ("length", "36")):
        weights.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])], "missing_data",
        [helper.make_tensor_value_info("x", FLOAT, ANY)], [helper.make_tensor_value_info("y", FLOAT, ANY)], [weights],
    )
    save("missing_data", helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7))


def newer():
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "newer",
        [helper.make_tensor_value_info("x", FLOAT, ANY)], [helper.make_tensor_value_info("y", FLOAT, ANY)],
    )
    save("newer", helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)], ir_version=99))


if __name__ == "__main__":
    sound()
    refused()
