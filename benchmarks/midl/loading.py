"""Images a second that training batches are loaded at, with decoded images kept and without, in turns.

    python benchmarks/midl/loading.py --annotations pool.json --images pool/ [--image-size 640] [--count 64]

Half of the images are labelled. A batch has as many of either half: what a step of the maximise and minimise stages
reads, decoded, augmented and padded. It is held against Pillow's decoding alone of as many files, in one thread.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from detectors.batches import BatchLoader
from detectors.config import TrainConfig
from detectors.data import load_coco
from detectors.images import DecodedImages, decode_image
from detectors.midl.schedule import Stage, StageSpan


def main() -> None:
    parser = argparse.ArgumentParser(description="Images a second that training batches are loaded at.")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--count", type=int, default=64, help="images")
    parser.add_argument("--image-size", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=8, help="labelled images a batch, and unlabelled ones")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = load_coco(arguments.annotations, arguments.images)[0][: arguments.count]
    half = len(images) // 2
    steps = max(1, half // arguments.batch_size)
    config = TrainConfig(steps=steps, image_size=arguments.image_size, batch_size=arguments.batch_size, weights="none")
    unlabeled = [image.path for image in images[half:]]
    spans = [StageSpan(Stage.MAXIMIZE, 0, steps)]

    def loading(decoded: DecodedImages) -> Callable[[], None]:
        loader = BatchLoader(config, images[:half], unlabeled, spans=spans, divisor=32, decoded=decoded)

        def load() -> None:
            for batch in loader.steps(0):
                batch.to(device)

        return load

    def decoding() -> None:
        for image in images[: 2 * steps * config.batch_size]:
            decode_image(image.path)

    ways = {
        "decoded images kept": loading(DecodedImages(device)),
        "decoded every time": loading(DecodedImages(device, limit=0)),
        "decoding alone, one thread": decoding,
    }
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - began)
    print(f"{device}, {os.cpu_count()} cores, long side {arguments.image_size}, medians of {arguments.rounds} rounds")
    for name, times in seconds.items():
        print(f"{name}: {2 * steps * config.batch_size / median(times):.0f} images/s")


if __name__ == "__main__":
    main()
