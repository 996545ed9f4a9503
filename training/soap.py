"""SOAP (Vyas et al. 2024): Adam in the eigenbasis of each kernel's gradients.

A kernel [outputs, inputs, size, size] is treated as a matrix [outputs, inputs * size * size]. For networks this small
the eigenbases are cheap, and each step makes more progress than a step of Adam.
"""

from collections.abc import Iterable

import torch

# Steps between updates of the bases, each by one power iteration.
REFRESH = 10


class Soap(torch.optim.Optimizer):
    """Adam for vectors, SOAP for kernels."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.95)) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, group)

    def update(self, parameter: torch.nn.Parameter, group: dict) -> None:
        """Update one parameter."""
        gradient, state = parameter.grad.float().reshape(parameter.shape[0], -1), self.state[parameter]
        matrix = parameter.dim() > 1
        first, second = group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            if matrix:
                state["left"], state["right"] = gradient @ gradient.T, gradient.T @ gradient
                state["left_basis"], state["right_basis"] = (torch.linalg.eigh(state[side])[1] for side in ("left", "right"))
        state["step"] += 1
        if matrix:
            state["left"].lerp_(gradient @ gradient.T, 1 - second)
            state["right"].lerp_(gradient.T @ gradient, 1 - second)
        state["mean"].lerp_(gradient, 1 - first)
        left, right = state.get("left_basis"), state.get("right_basis")
        turned = left.T @ gradient @ right if matrix else gradient
        state["square"].lerp_(turned * turned, 1 - second)
        mean = left.T @ state["mean"] @ right if matrix else state["mean"]
        scale = (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
        move = mean * scale / (state["square"].sqrt() + group["eps"])
        if matrix:
            move = left @ move @ right.T
        parameter.sub_(group["lr"] * move.view_as(parameter))
        if matrix and state["step"] % REFRESH == 0:
            self.refresh(state)

    @staticmethod
    def refresh(state: dict) -> None:
        """Update the bases; sort them, and what is stored in them, by eigenvalue."""
        for side, axis in (("left", 0), ("right", 1)):
            basis = state[f"{side}_basis"]
            values = ((basis.T @ state[side]) * basis.T).sum(1)
            order = torch.argsort(values, descending=True)
            state["square"] = state["square"].index_select(axis, order)
            state[f"{side}_basis"] = torch.linalg.qr(state[side] @ basis[:, order])[0]
