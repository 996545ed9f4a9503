"""The networks of the built-in models.

Every network maps luma [n, 1, h, w], 0..1, to [n, 1, scale*h, scale*w]:

    Conv 5x5 -> ReLU -> Conv 3x3 -> ReLU -> ... -> Conv 3x3 to scale^2 channels, + the input repeated -> pixel shuffle

The input is repeated, not resized, as the anchor: one broadcast addition at input resolution (ABPN, Du et al. 2021).
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn


@dataclass(frozen=True)
class Shape:
    """A network's structure: output channels of the hidden convolutions in order, and the scale factor.

    The first convolution has a larger kernel: with one input channel it costs almost nothing and widens the receptive
    field.
    """

    hidden: tuple[int, ...]
    scale: int

    @property
    def layers(self) -> list[tuple[int, int, int]]:
        """(input channels, output channels, kernel size) of each convolution."""
        widths = [1, *self.hidden, self.scale**2]
        kernels = [FIRST_KERNEL] + [3] * len(self.hidden)
        return list(zip(widths, widths[1:], kernels))

    @property
    def radius(self) -> int:
        """Receptive field radius in input pixels."""
        return sum(kernel // 2 for _, _, kernel in self.layers)

    @property
    def multiplications(self) -> int:
        """Multiplications per input pixel."""
        return sum(inputs * outputs * kernel**2 for inputs, outputs, kernel in self.layers)


FIRST_KERNEL = 5
# Output channels of the hidden convolutions.
FAST = (16,) * 9
# ONNX Runtime computes output channels in blocks of 16 (of 8 on older processors): 32 to 4 channels would cost as much
# as 32 to 16. So a layer from 32 to 16 comes first, followed by one from 16.
QUALITY = (32,) * 7 + (16,)
# Every learned built-in. Names ending in -compressed have the same shape, with weights for decoded video.
MODELS = {
    "fast2x": Shape(FAST, 2),
    "quality2x": Shape(QUALITY, 2),
    "quality3x": Shape(QUALITY, 3),
    "quality4x": Shape(QUALITY, 4),
}
MODELS |= {f"{name}-compressed": shape for name, shape in MODELS.items()}


class Convolution(nn.Module):
    """A zero-padded convolution, initialised near the identity if it has as many inputs as outputs."""

    def __init__(self, inputs: int, outputs: int, size: int, gain: float) -> None:
        super().__init__()
        # As He et al. 2015, times `gain`, which is small if the identity already carries the signal.
        self.kernel = nn.Parameter(torch.randn(outputs, inputs, size, size) * gain * (1.0 / (size**2 * inputs)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        if inputs == outputs:
            self.set(self.kernel.detach() + identity(self.kernel), self.bias)

    @torch.no_grad()
    def set(self, kernel: torch.Tensor, bias: torch.Tensor) -> None:
        """Set the kernel [outputs, inputs, size, size] and the bias [outputs]."""
        self.kernel.copy_(kernel)
        self.bias.copy_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.kernel, self.bias, padding=self.kernel.shape[-1] // 2)


def identity(kernel: torch.Tensor) -> torch.Tensor:
    """The identity as a kernel of this shape."""
    same = torch.zeros_like(kernel)
    channels = range(kernel.shape[0])
    same[channels, channels, kernel.shape[2] // 2, kernel.shape[3] // 2] = 1.0
    return same


class Network(nn.Module):
    """A built-in model; `convolutions()` returns what is exported."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        layers = shape.layers
        self.layers = nn.ModuleList(
            # The last layer starts close to zero correction.
            Convolution(a, b, size, 0.1 if layer == layers[-1] else 0.3 if a == b else 1.4)
            for layer in layers
            for a, b, size in [layer]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x
        for layer in self.layers[:-1]:
            features = F.relu(layer(features))
        return F.pixel_shuffle(self.layers[-1](features) + x, self.shape.scale)

    def set_convolutions(self, convolutions: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Load these kernels and biases. Missing layers become the identity, which has no effect after a ReLU."""
        given = list(convolutions)
        for layer in self.layers:
            kernel = layer.kernel.detach()
            if given and given[0][0].shape == kernel.shape:
                layer.set(*given.pop(0))
            elif kernel.shape[0] == kernel.shape[1]:
                layer.set(identity(kernel), torch.zeros_like(layer.bias))
            else:
                raise SystemExit(f"no weights for a layer of {tuple(kernel.shape)}")

    def convolutions(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Kernel [outputs, inputs, size, size] and bias [outputs] of each convolution, in order."""
        return [(layer.kernel.detach(), layer.bias.detach()) for layer in self.layers]


def from_onnx(path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Kernel and bias of each convolution of a file that export.py wrote, in order."""
    graph = onnx.load(path).graph
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    return [(values[node.input[1]], values[node.input[2]]) for node in graph.node if node.op_type == "Conv"]
