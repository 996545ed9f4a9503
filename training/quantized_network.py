"""Quantisation-aware fine-tuning of a built-in network: straight-through rounding and learned activation scales."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from data import Pairs

BATCH, PATCH = 8, 48
WEIGHT_RATE, SCALE_RATE = 3e-5, 1e-3
WARM_UP = 50
MIN_ERROR = 1e-8
REPORT = 100


def weight_scales(kernel: torch.Tensor) -> torch.Tensor:
    """Scale of each output channel, [outputs]; the largest weight becomes 127."""
    return (kernel.flatten(1).abs().amax(1) / 127).clamp_min(1e-12)


def round_ste(x: torch.Tensor) -> torch.Tensor:
    """Round; the gradient is that of the identity."""
    return x + (x.round() - x).detach()


def quantised_weight(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel after quantisation to int8."""
    scales = weight_scales(kernel).detach()[:, None, None, None]
    return round_ste(kernel / scales).clamp(-127, 127) * scales


def quantised_activation(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Non-negative values after quantisation to uint8 with this scale."""
    return round_ste((x / scale).clamp(0, 255)) * scale


class QuantizedNetwork(nn.Module):
    """A built-in network whose convolutions have quantised inputs (`scales`; None: float) and weights."""

    def __init__(self, convolutions: list[tuple[torch.Tensor, torch.Tensor]], scales: list[float | None], scale: int) -> None:
        super().__init__()
        self.kernels = nn.ParameterList([nn.Parameter(kernel.clone()) for kernel, _ in convolutions])
        self.biases = nn.ParameterList([nn.Parameter(bias.clone()) for _, bias in convolutions])
        # Logarithms, so that one learning rate works for all layers. The scale of the network's input is fixed.
        self.logs = nn.ParameterList([nn.Parameter(torch.tensor(value or 1.0).log(), index > 0) for index, value in enumerate(scales)])
        self.quantised = [value is not None for value in scales]
        self.scale = scale

    def scales(self) -> list[float | None]:
        """The current scales."""
        return [float(log.detach().exp()) if used else None for log, used in zip(self.logs, self.quantised)]

    def forward(self, x: torch.Tensor, exact: bool = False) -> torch.Tensor:
        """Enlarges a picture; `exact` skips all quantisation."""
        features = x
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases)):
            if self.quantised[index] and not exact:
                features = quantised_activation(features, self.logs[index].exp())
                kernel = quantised_weight(kernel)
            features = F.conv2d(features, kernel, bias, padding=kernel.shape[-1] // 2)
            if index + 1 < len(self.kernels):
                features = F.relu(features)
        return F.pixel_shuffle(features + x, self.scale)


def fine_tune(network: QuantizedNetwork, pairs: Pairs, steps: int) -> None:
    """Train the network to match its own output without quantisation."""
    teacher = copy.deepcopy(network).requires_grad_(False)
    rates = [
        {"params": [*network.kernels, *network.biases], "lr": WEIGHT_RATE},
        {"params": [log for log in network.logs if log.requires_grad], "lr": SCALE_RATE},
    ]
    optimizer = torch.optim.Adam(rates, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / WARM_UP, 1 - step / steps))
    total = 0.0
    for step in range(steps):
        low, _ = pairs.batch(BATCH, PATCH)
        # Every second patch has values between the 8-bit steps, like 10-bit video.
        low[::2] = (low[::2] + (torch.rand_like(low[::2]) - 0.5) / 255).clamp_(0, 1)
        with torch.no_grad():
            wanted = teacher(low, exact=True)
        squared = F.mse_loss(network(low), wanted, reduction="none").mean((1, 2, 3))
        loss = torch.log(squared + MIN_ERROR).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if (step + 1) % REPORT == 0:
            print(f"step {step + 1}: {-4.343 * total / REPORT:.2f} dB from the float form", flush=True)
            total = 0.0
