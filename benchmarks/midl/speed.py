"""Speed of training and scoring, apart, for each detector and backbone; MIDL over plain training (paper's Table 7).

    python benchmarks/midl/speed.py [--annotations pool.json --images pool/] [--detectors retinanet ssd300]
        [--backbones efficientnet_lite0 resnet50] [--device cuda] [--rounds 3] [--csv speed.csv]
    python benchmarks/midl/speed.py --table [--csv speed.csv]

The backbone decides on the head: efficientnet_lite0 and its like have the light one, resnet50 that of the papers.
Without --images the images are made up. A size is the long side (640) or, as the paper's 1333x800, a short side of 800
unless the long one passes 1333. `TrainConfig.image_size` knows the long side alone and enlarges nothing, so images are
first brought to the size, as JPEG files under --work: what is measured reads a cache of frames at the detector's size.
SSD300 makes 300 x 300 of whatever it reads.

Training is `detectors.training.train` as it is, plain and MIDL in turns, in an order that changes by round. A step is
timed from report to report, loading, update and all; medians are over the steps of a stage, so that the first ones,
which choose kernels, and those that write a resume file do not count. `cycle` is the schedule of so many steps at
these medians; `whole` is what the steps but the first took, resume files included. Table 7 has hours of a cycle of
random choice with plain training and of MIDL: 0.77 and 1.06 at 5 % labelled (1.38 times), 2.78 and 3.21 at 20 % (1.15
times). Both train for 26 epochs of the labelled set, and here for as many labelled batches; MIDL's maximise and
minimise steps, 8 of 26, add an unlabelled batch. A step costs the same however many images are labelled.

Scoring is `Scorer.score` on files, one reading after the other, by a detector of the MIDL training (an untrained one
would make boxes everywhere), and `Scorer.run` alone, network and MIDL's sums without boxes, on images in memory.

Operations are those of convolutions and matrix products, counted by torch; their rate is held against that of square
matrix products on the same device: in bfloat16 on a GPU, in float32 on a CPU. On a GPU training runs in bfloat16 where
it can, and scoring in float32. A library may take fewer operations for a 3x3 convolution than are counted, so that a
network of these (VGG-16) can pass 100%.

A line a training or scoring goes to the CSV file; those that it holds are not run again. Take --work on a local disk.
"""

import argparse
import csv
import os
import platform
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from speed_table import tables
from trainings import finished, write

from detectors.config import TrainConfig
from detectors.registry import detector_names

if TYPE_CHECKING:
    import torch

KEY = (
    *("task", "machine", "torch", "threads", "data", "detector", "backbone"),
    *("size", "batch_size", "length", "method", "round"),
)


def main() -> None:
    arguments = parsed()
    if arguments.table:
        with arguments.csv.open(newline="") as file:
            print(tables(list(csv.DictReader(file))))
        return
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # training takes the GPU that it sees
    import torch
    from speed_data import made_up, read
    from speed_measure import Bench, matrix_tflops

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no GPU")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = {
        "machine": machine(device),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "data": arguments.images.resolve().name if arguments.images else "made up",
    }
    done = finished(arguments.csv, KEY)
    left = [row for row in planned(arguments) if tuple((place | row)[name] for name in KEY) not in done]
    print(f"{len(left)} trainings and scorings to time", flush=True)
    pictures, categories = (
        read(arguments.annotations, arguments.images, arguments.count) if arguments.images else made_up(arguments.count)
    )
    bench = Bench(pictures, categories, arguments.work, device)
    rate = matrix_tflops(device)
    for row in left:
        config = TrainConfig(
            detector=row["detector"],
            backbone=row["backbone"],
            weights=arguments.weights,
            method="plain" if row["method"] == "plain" else "midl",
            steps=arguments.steps,
            batch_size=arguments.batch_size,
            checkpoint_every=arguments.steps,
        )
        measured = (
            bench.training(config, row["size"])
            if row["task"] == "train"
            else bench.scoring(
                config,
                row["size"],
                trained_at=arguments.train_sizes[0],
                frames=arguments.frames,
                batch_size=arguments.score_batch,
            )
        )
        write(arguments.csv, place | row | {"matrix_tflops": rate} | measured)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of training and scoring, plain and MIDL.")
    parser.add_argument("--annotations", type=Path, help="COCO file; without it, images are made up")
    parser.add_argument("--images", type=Path, help="the folder of its images")
    parser.add_argument("--count", type=int, default=32, help="images, half of them labelled")
    parser.add_argument("--tasks", nargs="+", choices=["train", "score"], default=["train", "score"])
    parser.add_argument("--detectors", nargs="+", choices=detector_names(), default=list(detector_names()))
    parser.add_argument("--backbones", nargs="+", default=[TrainConfig.backbone])
    parser.add_argument("--weights", default="none", help="of the backbone; the speed does not depend on them")
    parser.add_argument("--train-sizes", nargs="+", type=size, default=["320"])
    parser.add_argument("--image-sizes", nargs="+", type=size, default=["320", "640", "1333x800"], help="of scoring")
    parser.add_argument("--steps", type=int, default=156, help="a multiple of 26 gives each stage its exact share")
    parser.add_argument("--frames", type=int, default=64, help="to score, the images again and again")
    parser.add_argument("--batch-size", type=int, default=TrainConfig.batch_size, help="of training")
    parser.add_argument("--score-batch", type=int, default=8, help="of scoring")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--csv", type=Path, default=Path("speed.csv"))
    parser.add_argument("--work", type=Path, default=Path("speed-runs"), help="folder of images and detectors")
    parser.add_argument("--table", action="store_true", help="print the CSV file as Markdown tables")
    arguments = parser.parse_args()
    if (arguments.annotations is None) != (arguments.images is None):
        parser.error("give both --annotations and --images, or neither")
    if arguments.steps < 26 or arguments.count < 2:
        parser.error("--steps must be at least 26 and --count at least 2")
    return arguments


def size(text: str) -> str:
    """Check a size of the command line."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a long side (640) nor two sides (1333x800)")
    return text


def planned(arguments: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Keys of all that is to be measured, rounds outermost, so that other work on the machine falls on all alike."""
    for number in range(arguments.rounds):
        for detector, backbone in product(arguments.detectors, arguments.backbones):
            own = {"detector": detector, "backbone": backbone, "round": str(number + 1)}
            ways = ["plain", "midl"] if number % 2 == 0 else ["midl", "plain"]
            trained = {"task": "train", "batch_size": str(arguments.batch_size), "length": str(arguments.steps)}
            scored = {"task": "score", "batch_size": str(arguments.score_batch), "length": str(arguments.frames)}
            if "train" in arguments.tasks:
                for side, method in product(arguments.train_sizes, ways):
                    yield own | trained | {"size": side, "method": method}
            if "score" in arguments.tasks:
                for side in arguments.image_sizes:
                    yield own | scored | {"size": side, "method": "midl"}


def machine(device: "torch.device") -> str:
    """What is measured on: the GPU, or the CPU and its cores."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
