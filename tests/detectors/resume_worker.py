"""Trains in a process of its own, for a test to kill. Arguments: images folder, output folder."""

import sys
from pathlib import Path

import numpy as np
import torch
from detector_data import CATEGORIES, write_images

from detectors.config import TrainConfig
from detectors.training import train


def main(folder: Path, output: Path) -> int:
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    images = write_images(folder, 6, size_wh=(64, 64), rng=np.random.default_rng(1))
    config = TrainConfig(weights="none", steps=13, batch_size=2, warmup_steps=3, checkpoint_every=3)
    result = train(
        config,
        categories=CATEGORIES,
        labeled=images[:3],
        unlabeled=[image.path for image in images[3:]],
        held_out=[],
        output=output,
        on_step=lambda report: print("step", report.step, flush=True),
    )
    print("resumed from", result.resumed_from, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
