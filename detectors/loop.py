"""The loop of a training run inside one process: steps, resume files, and the files of the finished detector."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from detectors.batches import BatchLoader
from detectors.checkpoint import (
    METRICS,
    RESUME,
    LoadedDetector,
    cpu_state,
    load_resume,
    load_start,
    save_detector,
    save_resume,
    write_json,
)
from detectors.config import TrainConfig
from detectors.cpu import keep_kernels_and_memory
from detectors.data import LabeledImage
from detectors.evaluation import evaluate, evaluate_mil
from detectors.images import DecodedImages, image_room
from detectors.inference import Scorer
from detectors.label_notes import label_notes, learns_masks
from detectors.midl.schedule import Stage, StageSpan, lr_factor
from detectors.model import MidlDetector
from detectors.objective import Objective, fixed_parts, freeze_for
from detectors.registry import build_detector
from detectors.runlog import RunLog
from detectors.step import learn, out_of_memory

# A resume file is written about once an epoch of the labeled set, within these bounds in steps.
_CHECKPOINT_STEPS = (50, 500)
# The measurements of MIL need no more held-out images than this.
_MIL_IMAGES = 100


@dataclass(frozen=True)
class StepReport:
    """One finished step, counted from 1.

    discrepancy: of the unlabeled images; in labeled stages, of the labeled. fixed: the detector's parts that the
    stage's discrepancy leaves as they are.
    """

    step: int
    total_steps: int
    stage: str
    losses: dict[str, float]
    images_per_s: float
    discrepancy: float
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainResult:
    """A finished run. metrics: what metrics.json holds."""

    directory: Path
    steps: int
    resumed_from: int
    ap: float | None
    ap50: float | None
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """All that a process needs to train; picklable, since DDP starts processes."""

    config: TrainConfig
    categories: tuple[str, ...]
    labeled: tuple[LabeledImage, ...]
    unlabeled: tuple[Path, ...]
    held_out: tuple[LabeledImage, ...]
    output: Path
    labels_sha256: str
    spans: tuple[StageSpan, ...]
    notes: tuple[str, ...]
    fingerprint: str


def run(fabric: Fabric, job: Job, report: Callable[[StepReport], None] | None) -> TrainResult:
    """Train in this process, one of config.devices; errors as `detectors.training.train`."""
    try:
        return _run(fabric, job, report)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(
            "outside the steps, as images were loaded or the detector was measured", job.config
        ) from error


def _run(fabric: Fabric, job: Job, report: Callable[[StepReport], None] | None) -> TrainResult:
    keep_kernels_and_memory()
    config, directory = job.config, job.output
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        detector = build_detector(
            config.detector,
            num_classes=len(job.categories),
            backbone=config.backbone,
            weights=config.first_weights,
            midl=config.scoring_midl,
            anchor_scale=config.anchor_scale,
        )
    if config.start_from is not None:
        load_start(Path(config.start_from), detector)
    detector.train()
    optimizer = _optimizer(detector, config, on_cpu=fabric.device.type == "cpu")
    fixed = {stage: fixed_parts(detector, stage) for stage in Stage}
    notes = [*job.notes, *label_notes(detector, job.labeled, config)]
    log = RunLog(job.spans, notes, fixed, discrepancy_cap=config.midl.discrepancy_cap)
    resume = load_resume(directory, job.fingerprint)
    start = 0
    if resume is not None:
        detector.load_state_dict(resume["detector"])
        log.restore(resume["log"])
        start = int(resume["step"])
    fabric.barrier()  # all processes have read the resume file before it can change
    if fabric.is_global_zero:
        # Of a finished detector that has lost its weights: they must not stand beside new ones.
        (directory / METRICS).unlink(missing_ok=True)
    module, optimizer = fabric.setup(Objective(detector, config), optimizer)
    average = _average(detector, config)
    if resume is not None:
        # Not before: the optimizer's state goes where the parameters are now.
        optimizer.load_state_dict(resume["optimizer"])
        if resume.get("precision"):
            fabric.strategy.precision.load_state_dict(resume["precision"])
        if average is not None:
            average.load_state_dict(resume["average"])
    loader = BatchLoader(
        config,
        job.labeled,
        job.unlabeled,
        spans=job.spans,
        divisor=detector.size_divisor,
        masks=detector.makes_masks,
        rank=fabric.global_rank,
        decoded=DecodedImages(
            fabric.device, limit=image_room(fabric.device, config.image_memory, processes=config.devices)
        ),
    )
    checkpoints = _checkpoint_steps(config, job.spans, len(job.labeled))
    stage = None
    began = time.perf_counter()
    for batch in loader.steps(start):
        if batch.stage is not stage:
            stage = batch.stage
            freeze_for(detector, stage)
        for group in optimizer.param_groups:
            group["lr"] = (
                config.learning_rate
                * group["factor"]
                * lr_factor(batch.step, steps=config.steps, warmup_steps=config.warmup, drop=config.lr_drop)
            )
        losses = learn(fabric, module, optimizer, batch, config)
        if average is not None:
            average.update_parameters(detector)
        seconds = time.perf_counter() - began
        log.add(batch.step, losses, seconds)
        done = batch.step + 1
        if fabric.is_global_zero:
            if done in checkpoints:
                save_resume(directory, _resume_state(fabric, job, detector, optimizer, average, log, done))
            if report is not None:
                rate = len(batch.names) * config.devices / seconds
                report(
                    StepReport(
                        done,
                        config.steps,
                        batch.stage.value,
                        losses,
                        rate,
                        losses["discrepancy"],
                        fixed[batch.stage],
                    )
                )
        began = time.perf_counter()
    trained = detector if average is None else cast(MidlDetector, average.module)
    return _finish(fabric, job, trained, log, resumed_from=start)


def _optimizer(detector: MidlDetector, config: TrainConfig, *, on_cpu: bool) -> torch.optim.Optimizer:
    """Build the optimizer; the learning rate is set at every step, times its group's "factor"."""
    factors = config.lr_factors
    parts = {role: [p for m in modules for p in m.parameters()] for role, modules in detector.modules_by_role().items()}
    groups = [{"params": parts[role], "factor": factor} for role, factor in factors.items()]
    named = {id(p) for role in factors for p in parts[role]}
    groups.append({"params": [p for p in detector.parameters() if id(p) not in named], "factor": 1.0})
    lr, decay = config.learning_rate, config.decay
    # A CPU would update each of 200 small tensors by a dozen operations: a tenth of a step's time. On a GPU torch
    # groups them by itself, and Fabric cannot clip gradients of a fused update under 16-mixed.
    fused = True if on_cpu else None
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=decay, fused=fused)
    return torch.optim.AdamW(groups, lr=lr, weight_decay=decay, fused=fused)


def _average(detector: MidlDetector, config: TrainConfig) -> AveragedModel | None:
    """The moving average of the weights, if one is wanted. Its decay grows with the steps, so that a short run has not
    its random beginning in it: the usual min(decay, (1 + n) / (10 + n)).
    """
    if config.ema_decay is None:
        return None
    largest = config.ema_decay

    # All parameters in one call: each by itself would wait for a GPU twice.
    def blend(averaged: Any, current: Any, steps: Tensor | int) -> None:
        count = int(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(largest, (1 + count) / (10 + count)))

    # Statistics of batch normalization never change in training, so that parameters are all there is to average.
    return AveragedModel(detector, multi_avg_fn=blend)


def _checkpoint_steps(config: TrainConfig, spans: Sequence[StageSpan], labeled: int) -> frozenset[int]:
    """Counts of done steps after which to write a resume file."""
    low, high = _CHECKPOINT_STEPS
    every = config.checkpoint_every or min(max(-(-labeled // config.batch_size), low), high)
    return frozenset(range(every, config.steps + 1, every)) | {span.stop for span in spans}


def _resume_state(
    fabric: Fabric,
    job: Job,
    detector: MidlDetector,
    optimizer: Any,
    average: AveragedModel | None,
    log: RunLog,
    step: int,
) -> dict[str, Any]:
    """Everything that the next step depends on. There is no random state: every draw follows from the step."""
    return {
        "fingerprint": job.fingerprint,
        "step": step,
        "detector": cpu_state(detector.state_dict()),
        "optimizer": optimizer.state_dict(),
        "precision": fabric.strategy.precision.state_dict(),
        "average": None if average is None else cpu_state(average.state_dict()),
        "log": log.state(),
    }


def _finish(fabric: Fabric, job: Job, detector: MidlDetector, log: RunLog, *, resumed_from: int) -> TrainResult:
    """Write the detector, measure it, write metrics.json, and only then drop the resume file."""
    metrics: dict[str, Any] = {}
    if fabric.is_global_zero:
        save_detector(job.output, detector, job.config, categories=job.categories, labels_sha256=job.labels_sha256)
        metrics = _metrics(fabric, job, detector, log)
        write_json(job.output / METRICS, metrics)
        (job.output / RESUME).unlink(missing_ok=True)
    fabric.barrier()
    return TrainResult(job.output, job.config.steps, resumed_from, metrics.get("AP"), metrics.get("AP50"), metrics)


def _metrics(fabric: Fabric, job: Job, detector: MidlDetector, log: RunLog) -> dict[str, Any]:
    """Accuracy on the held-out images (None with a reason where there is none to measure) and the run's own numbers."""
    loaded = LoadedDetector(detector.eval(), job.categories, job.config.image_size, job.labels_sha256)
    # What a GPU's memory has held with gradients it holds without.
    scorer = Scorer(loaded, device=fabric.device, batch_size=job.config.batch_size)
    measured: dict[str, Any] = {
        "AP": None,
        "AP50": None,
        "AP75": None,
        "AP_per_class": {},
        "mask_AP": None,
        "mask_AP50": None,
    }
    reason = None
    if not job.held_out:
        reason = "no held-out images"
    else:
        measured = evaluate(scorer, job.held_out, job.categories)
        reason = "held-out images without boxes" if measured["AP"] is None else None
    mil = None
    if job.config.method == "midl" and job.held_out:
        mil = evaluate_mil(scorer, job.held_out[:_MIL_IMAGES])
    return {
        "fingerprint": job.fingerprint,
        "AP": measured["AP"],
        "AP50": measured["AP50"],
        "AP75": measured["AP75"],
        "AP_per_class": measured["AP_per_class"],
        "mask_AP": measured["mask_AP"],
        "mask_AP50": measured["mask_AP50"],
        "AP_reason": reason,
        "mil": mil,
        "masks_learned": learns_masks(detector, job.labeled),
        "stages": log.stages(),
        "notes": log.notes(),
        "seconds": log.seconds,
        "steps": job.config.steps,
        "images": {"labeled": len(job.labeled), "unlabeled": len(job.unlabeled), "held_out": len(job.held_out)},
    }
