"""The networks of the built-in models, in a form that trains well and collapses to plain convolutions.

Every network maps luma [n, 1, h, w], 0..1, to [n, 1, scale*h, scale*w]:

    Conv 5x5 -> ReLU -> Conv 3x3 -> ReLU -> ... -> Conv 3x3 to scale^2 channels, + the input repeated -> pixel shuffle

The input is repeated, not resized, as the anchor: one addition of a broadcast at input resolution (ABPN, Du et al. 2021).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    """What a network is made of: output channels of the hidden convolutions in order, and the factor it enlarges by.

    The first convolution has a larger kernel: with one input channel that costs next to nothing and widens what each pixel sees.
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
        """How far an output pixel looks, in input pixels to each side."""
        return sum(kernel // 2 for _, _, kernel in self.layers)

    @property
    def multiplications(self) -> int:
        """Multiplications for each input pixel."""
        return sum(inputs * outputs * kernel**2 for inputs, outputs, kernel in self.layers)


FIRST_KERNEL = 5
# Channels of a convolution while it is trained, over those of the widest layer.
EXPANSION = 4
FAST = (16,) * 6
# ONNX Runtime computes output channels in blocks of 16 (of 8 on older processors): 32 to 4 channels would cost what 32 to 16 does.
# So the step from 32 to 16 comes first, and one from 16 follows.
QUALITY = (32,) * 6 + (16,)
# Every learned built-in. Names that end in -compressed have the shape of the clean one and weights for decoded video.
MODELS = {
    "fast2x": Shape(FAST, 2),
    "quality2x": Shape(QUALITY, 2),
    "quality3x": Shape(QUALITY, 3),
    "quality4x": Shape(QUALITY, 4),
}
MODELS |= {f"{name}-compressed": shape for name, shape in MODELS.items()}


class CollapsibleConv(nn.Module):
    """A convolution that is trained as one to `expanded` channels, then 1x1 (SESR, Bhardwaj et al. 2021).

    The two are multiplied to one kernel before the convolution runs, so that training costs what the small network costs.
    Where input and output have the same number of channels, the identity is part of the kernel.
    """

    def __init__(self, inputs: int, outputs: int, size: int, expanded: int, gain: float) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.empty(expanded, inputs, size, size))
        self.outer = nn.Parameter(torch.empty(outputs, expanded))
        self.bias = nn.Parameter(torch.zeros(outputs))
        # He et al. 2015 for the product: the inner part keeps the variance, the outer part halves what ReLU will halve.
        nn.init.normal_(self.inner, std=(1.0 / (size**2 * inputs)) ** 0.5)
        nn.init.normal_(self.outer, std=gain * (1.0 / expanded) ** 0.5)
        identity = torch.zeros(outputs, inputs, size, size)
        if inputs == outputs:
            identity[range(outputs), range(outputs), size // 2, size // 2] = 1.0
        self.register_buffer("identity", identity, persistent=False)

    def kernel(self) -> torch.Tensor:
        """The one kernel that inference uses, [outputs, inputs, size, size]."""
        return torch.einsum("oe,eikl->oikl", self.outer, self.inner) + self.identity

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.kernel(), self.bias, padding=self.inner.shape[-1] // 2)


class Network(nn.Module):
    """A built-in model while it is trained; `convolutions()` gives what is exported."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        layers = shape.layers
        self.layers = nn.ModuleList(
            # Small kernels where the identity already carries the signal; the last starts close to "no correction".
            CollapsibleConv(a, b, size, EXPANSION * max(shape.hidden), 0.1 if layer == layers[-1] else 0.3 if a == b else 1.4)
            for layer in layers
            for a, b, size in [layer]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x
        for layer in self.layers[:-1]:
            features = F.relu(layer(features))
        return F.pixel_shuffle(self.layers[-1](features) + x, self.shape.scale)

    def convolutions(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Kernel [outputs, inputs, size, size] and bias [outputs] of each convolution, in order."""
        return [(layer.kernel().detach(), layer.bias.detach()) for layer in self.layers]
