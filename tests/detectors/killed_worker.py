"""Trains in processes of its own, for a test to kill.

Reads one job a line, the arguments of `run`, and does each in a fork of this process, which itself never trains:
importing torch takes longer than a run. Says "step N STAGE" after each step, "resumed from N" at the end, and "ended
STATUS" when the fork is gone. After the step "stop" the fork says "waiting PID" and waits to be killed.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from detector_data import CATEGORIES, write_images

from detectors.config import TrainConfig
from detectors.training import StepReport, train

STEPS = 39


def run(*, images: str, detector: str, output: str, every: int, stop: int | None) -> None:
    def report(step: StepReport) -> None:
        print("step", step.step, step.stage, flush=True)
        if step.step == stop:
            print("waiting", os.getpid(), flush=True)
            os.read(0, 1)  # returns only when the test has gone without killing
            os._exit(1)

    torch.set_num_threads(1)
    made = write_images(Path(images), 6, size_wh=(64, 64), rng=np.random.default_rng(1))
    result = train(
        TrainConfig(
            detector=detector, weights="none", steps=STEPS, batch_size=1, warmup_steps=3, checkpoint_every=every
        ),
        categories=CATEGORIES,
        labeled=made[:3],
        unlabeled=[image.path for image in made[3:]],
        held_out=[],
        output=Path(output),
        on_step=report,
    )
    print("resumed from", result.resumed_from, flush=True)


def main() -> None:
    for module in ("timm", "detectors.retinanet"):  # train() imports these late
        import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(**json.loads(line))
            os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
