"""One step of a training, with a layer in the place of a detector: what a gradient without end does to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import write_images
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import Tensor, nn

from detectors.batches import BatchLoader, StepBatch
from detectors.config import TrainConfig
from detectors.midl.schedule import Stage, StageSpan
from detectors.step import NonFiniteLossError, learn


class Root(nn.Module):
    """A loss that is finite while its gradient need not be: the root of a weight, times `scale`."""

    def __init__(self, weight: float, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.scale = scale

    def forward(self, batch: StepBatch) -> dict[str, Tensor]:
        return {"total": (self.weight.sqrt() * self.scale).sum()}


@pytest.fixture
def batch(tmp_path: Path) -> StepBatch:
    image = write_images(tmp_path, 1, size_wh=(40, 30), rng=np.random.default_rng(0))[0]
    config = TrainConfig(weights="none", steps=1, warmup_steps=0, batch_size=1)
    return BatchLoader(config, [image], [], spans=(StageSpan(Stage.LABELED, 0, 1),), divisor=32).load(0)


def step(
    module: Root,
    batch: StepBatch,
    scaler: torch.amp.GradScaler | None = None,
    optimizer_class: type[torch.optim.Optimizer] = torch.optim.SGD,
) -> tuple[dict[str, float], Fabric]:
    # Fabric itself has 16-mixed on a GPU alone.
    scaled = [MixedPrecision("16-mixed", "cpu", scaler)] if scaler else None
    fabric = Fabric(accelerator="cpu", plugins=scaled)
    wrapped, optimizer = fabric.setup(module, optimizer_class(module.parameters(), lr=0.5))  # type: ignore[call-arg]
    config = TrainConfig(weights="none", steps=1, warmup_steps=0)
    return learn(fabric, wrapped, optimizer, batch, config), fabric


def test_a_step_goes_down_the_gradient(batch: StepBatch) -> None:
    module = Root(4.0, 2.0)
    losses, _ = step(module, batch)
    assert losses == {"total": 4.0}
    assert module.weight.item() == pytest.approx(4 - 0.5 * 0.5)  # d 2 sqrt(w) = 1 / sqrt(w)


def test_a_gradient_that_is_not_finite_names_the_step(batch: StepBatch) -> None:
    with pytest.raises(NonFiniteLossError, match=r"gradient is not finite at step 0 \(labeled\); images .*png"):
        step(Root(0.0, 1.0), batch)


def test_16_mixed_passes_over_a_step_that_overflows(batch: StepBatch) -> None:
    """The scaler's first factor, 65,536, is too much for this loss in float32: no step, and half of the factor."""
    module = Root(1.0, 1e36)
    _, fabric = step(module, batch, torch.amp.GradScaler("cpu"))
    assert module.weight.item() == 1.0
    assert fabric.strategy.precision.state_dict()["scale"] == 65536 / 2


class _Full(torch.optim.SGD):
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_the_optimizer_lacks_is_said_in_one_line(batch: StepBatch) -> None:
    """AdamW takes the memory of its state at the first step, after the backward pass."""
    with pytest.raises(MemoryError, match=r"out of GPU memory at step 0 \(labeled\): lower batch_size \(4\)"):
        step(Root(4.0, 2.0), batch, optimizer_class=_Full)
