"""What `speed.py` measures: a training, a scoring, and the rate of matrix products to hold both against."""

import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice, pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from speed_data import Picture, prepared
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from detectors.config import Stages, TrainConfig
from detectors.data import LabeledImage, load_sample
from detectors.inference import Scorer, load_detector
from detectors.midl.schedule import labeled_only, stage_spans
from detectors.training import StepReport, train

_MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}
_MATRIX_DTYPE = {"cuda": torch.bfloat16, "cpu": torch.float32}
_MATRIX_ROUNDS = 7
# Operations are counted over so many steps of each stage: augmentation changes the size of the images.
_COUNTED_STEPS = 3
_ONE_OF_EACH: Stages = (("labeled", 1.0), ("maximize", 1.0), ("minimize", 1.0))


class Bench:
    """Measures on one device, with the same images in every size.

    work: folder of these images, and of the detectors that scoring needs.
    """

    def __init__(
        self, pictures: Sequence[Picture], categories: Sequence[str], work: Path, device: torch.device
    ) -> None:
        self._pictures = pictures
        self._categories = categories
        self._work = work
        self._device = device
        self._images: dict[str, list[LabeledImage]] = {}
        self._operations: dict[tuple[str, str, str, str], dict[str, float]] = {}

    def training(self, config: TrainConfig, size: str) -> dict[str, Any]:
        """Time a training. `seconds`: of all steps but the first. `loading`: the share of the time without work.

        Of each stage: the median of a step in ms, and its operations in GFLOP.
        """
        folder = self._folder(config, size)
        shutil.rmtree(folder, ignore_errors=True)
        reports: list[StepReport] = []
        moments: list[float] = []

        def on_step(report: StepReport) -> None:
            reports.append(report)
            moments.append(time.perf_counter())

        self._train(config, size, folder, on_step)
        whole: dict[str, list[float]] = defaultdict(list)
        working: dict[str, list[float]] = defaultdict(list)
        for report, (before, after) in zip(reports[1:], pairwise(moments), strict=True):
            images = config.batch_size * (1 if report.stage == "labeled" else 2)
            whole[report.stage].append(after - before)
            working[report.stage].append(images / report.images_per_s)
        spans = stage_spans(config.steps, config.stages) if config.method == "midl" else labeled_only(config.steps)
        cycle_s, work_s = (
            sum((span.stop - span.start) * median(seconds[span.stage.value]) for span in spans)
            for seconds in (whole, working)
        )
        return {
            "cycle_s": cycle_s,
            "seconds": moments[-1] - moments[0],
            "loading": max(0.0, 1 - work_s / cycle_s),
            **{f"{stage}_ms": 1000 * median(seconds) for stage, seconds in whole.items()},
            **self._gflop(config, size),
        }

    def scoring(
        self, config: TrainConfig, size: str, *, trained_at: str, frames: int, batch_size: int
    ) -> dict[str, Any]:
        """Time the scoring of so many frames by the detector that `config` trains; it is trained if it is not there.

        `frames_per_s`: from files to boxes and scores. `network_frames_per_s`: network and MIDL's sums alone.
        """
        folder = self._folder(config, trained_at)
        self._train(config, trained_at, folder, None)
        scorer = Scorer(replace(load_detector(folder), image_size=None), device=self._device, batch_size=batch_size)
        paths = [image.path for image in self._of_size(size)]
        scorer.score(paths)  # chooses the kernels of every shape
        began = time.perf_counter()
        scorer.score(list(islice(cycle(paths), frames)))
        file_rate = frames / (time.perf_counter() - began)
        # Neighbours in this order are padded to one size at little cost.
        samples = sorted((load_sample(path) for path in paths), key=lambda sample: sample.image.shape)
        batches = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
        with operations() as counter:
            for batch in batches:
                scorer.run(batch)
        chosen = list(islice(cycle(batches), math.ceil(frames / batch_size)))
        self._wait()
        began = time.perf_counter()
        for batch in chosen:
            scorer.run(batch)
        self._wait()
        return {
            "frames_per_s": file_rate,
            "network_frames_per_s": sum(map(len, chosen)) / (time.perf_counter() - began),
            "gflop": counter.get_total_flops() / 1e9 / len(samples),
        }

    def _train(
        self, config: TrainConfig, size: str, folder: Path, on_step: Callable[[StepReport], None] | None
    ) -> None:
        images = self._of_size(size)
        half = len(images) // 2
        train(
            config,
            categories=self._categories,
            labeled=images[:half],
            unlabeled=[image.path for image in images[half:]],
            held_out=[],
            output=folder,
            on_step=on_step,
        )

    def _gflop(self, config: TrainConfig, size: str) -> dict[str, float]:
        """Operations of a step of each stage, counted in a training of a few steps."""
        key = (config.detector, config.backbone, config.method, size)
        if key not in self._operations:
            if config.method == "midl":
                short = replace(config, stages=_ONE_OF_EACH, steps=_COUNTED_STEPS * len(_ONE_OF_EACH))
            else:
                short = replace(config, steps=_COUNTED_STEPS)
            counted: dict[str, list[float]] = defaultdict(list)
            folder = self._folder(config, size).with_name("counted")
            shutil.rmtree(folder, ignore_errors=True)
            with operations() as counter:
                before = 0

                def on_step(report: StepReport) -> None:
                    nonlocal before
                    total = counter.get_total_flops()
                    counted[f"{report.stage}_gflop"].append((total - before) / 1e9)
                    before = total

                self._train(short, size, folder, on_step)
            self._operations[key] = {name: mean(values) for name, values in counted.items()}
        return self._operations[key]

    def _of_size(self, size: str) -> list[LabeledImage]:
        if size not in self._images:
            self._images[size] = prepared(self._pictures, size, self._work / f"images-{size}")
        return self._images[size]

    def _folder(self, config: TrainConfig, size: str) -> Path:
        return self._work / f"{config.detector}-{config.backbone}-{config.method}-{size}"

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def operations() -> FlopCounterMode:
    """A counter of the operations of convolutions and matrix products."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward})


def _convolution_backward(
    output: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: Any, **_out_shape: Any
) -> int:
    """As many as forward for each gradient. torch's own count takes a depthwise convolution for a full one."""
    _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, wanted = rest
    forward: int = conv_flop_count(list(x), list(weight), list(output), transposed=transposed)
    return forward * int(sum(wanted[:2]))


def matrix_tflops(device: torch.device) -> float:
    """Measured rate of square matrix products, the median of several, in 10^12 operations a second."""
    side = _MATRIX_SIDE[device.type]
    a, b = torch.randn(2, side, side, device=device).to(_MATRIX_DTYPE[device.type])
    repeats = 20
    rates = []
    for _ in range(_MATRIX_ROUNDS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(repeats):
            product = a @ b
        product[0, 0].item()  # waits for the last
        rates.append(2 * side**3 * repeats / (time.perf_counter() - began) / 1e12)
    return median(rates)
