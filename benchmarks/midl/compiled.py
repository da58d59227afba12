"""Does torch.compile pay? A backbone with its FPN, eager and compiled in turns, on one shape of batch.

    python benchmarks/midl/compiled.py [--backbone efficientnet_lite0] [--size 192 320] [--device cuda]

Prints the seconds of the first run, which compiles, and the medians of the following ones: forward alone as in scoring,
and forward and backward, as in training; on a GPU scoring in float32 and training in bfloat16, as they are there.
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from detectors.config import MidlConfig
from detectors.registry import build_detector


def main() -> None:
    parser = argparse.ArgumentParser(description="A backbone with its FPN, eager and compiled in turns.")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", nargs=2, type=int, default=[192, 320], help="height and width in pixels")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    detector = build_detector(
        "retinanet", num_classes=10, backbone=arguments.backbone, weights="none", midl=MidlConfig()
    )
    body = detector.train().to(arguments.device).backbone
    images = torch.randn(arguments.batch_size, 3, *arguments.size, device=arguments.device)
    images = images.contiguous(memory_format=torch.channels_last)

    def scoring(network: Callable[[Tensor], list[Tensor]]) -> None:
        with torch.no_grad():
            network(images)

    def training(network: Callable[[Tensor], list[Tensor]]) -> None:
        on_gpu = images.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if on_gpu else contextlib.nullcontext():
            levels = network(images)
        torch.stack([level.float().sum() for level in levels]).sum().backward()
        body.zero_grad(set_to_none=True)

    compiled = torch.compile(body)
    for name, run in (("forward", scoring), ("forward and backward", training)):
        first = seconds(run, compiled)
        seconds(run, body)
        times = [(seconds(run, body), seconds(run, compiled)) for _ in range(arguments.rounds)]
        eager, quick = (median(column) for column in zip(*times, strict=True))
        print(
            f"{name}: compiling {first:.0f} s, eager {1000 * eager:.1f} ms, compiled {1000 * quick:.1f} ms, "
            f"{eager / quick:.2f} times as fast",
            flush=True,
        )


def seconds(
    run: Callable[[Callable[[Tensor], list[Tensor]]], None], network: Callable[[Tensor], list[Tensor]]
) -> float:
    """Time one run of a network."""
    began = time.perf_counter()
    run(network)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
