"""The batches of a training run, loaded ahead of their step by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from detectors.ahead import ahead
from detectors.config import TrainConfig
from detectors.data import Batch, LabeledImage, augmentation_rng, collate, draw, load_sample
from detectors.images import DecodedImages
from detectors.midl.schedule import Stage, StageSpan

_LABELED, _UNLABELED = 0, 1
_STEPS_AHEAD = 4


class StepBatch:
    """What one step trains on. unlabeled is None in labeled stages.

    Not a dataclass: Fabric rebuilds those field by field on the way into a module, and refuses frozen ones.
    """

    def __init__(self, step: int, stage: Stage, labeled: Batch, unlabeled: Batch | None) -> None:
        self.step = step
        self.stage = stage
        self.labeled = labeled
        self.unlabeled = unlabeled

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images of the step."""
        return self.labeled.names + (self.unlabeled.names if self.unlabeled else ())

    def to(self, device: torch.device) -> StepBatch:
        """Return the batches on `device`."""
        return StepBatch(self.step, self.stage, self.labeled.to(device), self.unlabeled and self.unlabeled.to(device))


class BatchLoader:
    """Batches by step number: a resumed run draws exactly the batches that an unkilled one would have drawn.

    Pixels are augmented where `decoded` keeps them, in a GPU's memory or a CPU's; labels always on the CPU.
    """

    def __init__(
        self,
        config: TrainConfig,
        labeled: Sequence[LabeledImage],
        unlabeled: Sequence[Path],
        *,
        spans: Sequence[StageSpan],
        divisor: int,
        masks: bool = False,
        rank: int = 0,
        decoded: DecodedImages | None = None,
    ) -> None:
        self._config = config
        self._labeled = labeled
        self._unlabeled = unlabeled
        self._spans = spans
        self._divisor = divisor
        self._masks = masks
        self._rank = rank
        self._decoded = decoded or DecodedImages(torch.device("cpu"))

    def stage(self, step: int) -> Stage:
        """Return the stage of a step."""
        return next(span.stage for span in self._spans if span.start <= step < span.stop)

    def load(self, step: int) -> StepBatch:
        """Read this rank's share of the batches of one step."""
        stage = self.stage(step)
        labeled = self._batch(self._labeled, step, _LABELED)
        unlabeled = None if stage is Stage.LABELED else self._batch(self._unlabeled, step, _UNLABELED)
        return StepBatch(step, stage, labeled, unlabeled)

    def steps(self, start: int) -> Iterator[StepBatch]:
        """The batches from step `start` to the end, in order."""
        return ahead(self.load, range(start, self._config.steps), depth=_STEPS_AHEAD)

    def _batch(self, images: Sequence[LabeledImage] | Sequence[Path], step: int, stream: int) -> Batch:
        config = self._config
        chosen = draw(len(images), seed=config.seed, step=step, batch_size=config.batch_size, stream=stream)
        samples = [
            load_sample(
                images[index],
                image_size=config.image_size,
                rng=augmentation_rng(seed=config.seed, step=step, position=position, stream=stream)
                if config.augment
                else None,
                masks=self._masks,
                crops=config.crops,
                decode=self._decoded.decode,
            )
            for position, index in enumerate(chosen)
            if position % config.devices == self._rank
        ]
        return collate(samples, divisor=self._divisor)
