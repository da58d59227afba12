"""One step of a training: losses, gradients, and what can go wrong with them, said in words."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric

from detectors.batches import StepBatch
from detectors.config import TrainConfig


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient became NaN or infinite; the message names the step."""


def learn(fabric: Fabric, module: Any, optimizer: Any, batch: StepBatch, config: TrainConfig) -> dict[str, float]:
    """Take one step and return the terms of the loss.

    module: maps a batch to the terms of the loss, of which "total" is minimised; it and optimizer are Fabric's.

    Raises:
        NonFiniteLossError: the loss is not finite, or its gradient; weights are as they were before the step.
        MemoryError: the GPU has too little memory.
    """
    try:
        terms = module(batch.to(fabric.device))
        # Each number read from a GPU waits for it: all of them at once.
        values = torch.stack([value.detach().float() for value in terms.values()]).tolist()
        losses = dict(zip(terms, values, strict=True))
        if not all(math.isfinite(value) for value in losses.values()):
            raise _not_finite("loss", batch, config, f": {losses}")
        fabric.backward(terms["total"])
        _clip(fabric, module, optimizer, batch, config)
        optimizer.step()
    except torch.OutOfMemoryError as error:
        raise out_of_memory(f"at step {batch.step} ({batch.stage})", config) from error
    optimizer.zero_grad(set_to_none=True)
    return losses


def out_of_memory(when: str, config: TrainConfig) -> MemoryError:
    """What to say, and to do, when the GPU has too little memory."""
    return MemoryError(
        f"out of GPU memory {when}: lower batch_size ({config.batch_size}), image_size ({config.image_size}) or "
        f"image_memory ({config.image_memory})"
    )


def _clip(fabric: Fabric, module: Any, optimizer: Any, batch: StepBatch, config: TrainConfig) -> None:
    """Clip the gradient's norm. Under 16-mixed one that overflows is left to the scaler, which passes over the step."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    try:
        fabric.clip_gradients(module, optimizer, max_norm=config.clip_norm, error_if_nonfinite=scaler is None)
    except RuntimeError as error:
        if "non-finite" not in str(error):
            raise
        raise _not_finite("gradient", batch, config) from error


def _not_finite(what: str, batch: StepBatch, config: TrainConfig, values: str = "") -> NonFiniteLossError:
    return NonFiniteLossError(
        f"{what} is not finite at step {batch.step} ({batch.stage}){values}; images {', '.join(batch.names)}; "
        f"lower lr ({config.learning_rate}) or lambda_ ({config.discrepancy_weight})"
    )
