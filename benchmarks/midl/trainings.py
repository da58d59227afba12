"""Trainings of a study, a line each in a CSV file: accuracy, loss, figures of MIL, rank correlations with the error.

    python benchmarks/midl/trainings.py --study accuracy --annotations pool.json --images pool/ \\
        --test test test.json test/ --shares 0.05 0.1 --seeds 0 1 2 [--detector ssd300] [--steps 1000] [--jobs 2]

`--test` is a name, a COCO file and its folder of images; give it again for a second test set. What the CSV file holds
is not run again, and a training that was cut off goes on from its folder under `--work`. `--jobs` trainings run side by
side, in processes that share the cores: on two cores, two trainings of one thread each take less time than one after
the other with two. Labels outside the share are used to measure, never to train. `report.py` makes tables and plots.
"""

import argparse
import csv
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from measure import Data, measure, threads_of
from studies import STUDIES, config_of

from detectors.config import TrainConfig
from detectors.data import load_coco
from detectors.registry import detector_names

KEY = ("data", "detector", "backbone", "variant", "share", "steps", "image_size", "seed")


@dataclass(frozen=True)
class Run:
    """One training: its line's key, and its configuration."""

    key: tuple[str, ...]
    share: float
    config: TrainConfig

    @property
    def folder(self) -> str:
        return "-".join(self.key).replace(" ", "_").replace(",", "")


def main() -> None:
    parser = argparse.ArgumentParser(description="Trainings of a study, a line each in a CSV file.")
    parser.add_argument("--study", choices=list(STUDIES), default="accuracy")
    parser.add_argument("--variants", nargs="+", help="only these of the study")
    parser.add_argument("--data", default="", help="what the data are called in the file; default: the pool's folder")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file of the pool")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--test", nargs=3, action="append", required=True, metavar=("NAME", "COCO", "IMAGES"))
    parser.add_argument("--detector", choices=detector_names(), default=TrainConfig.detector)
    parser.add_argument("--backbone", default=TrainConfig.backbone)
    parser.add_argument("--weights", default=TrainConfig.weights)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2, 1.0], help="of the pool, labelled")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, nargs="+", default=[TrainConfig.steps])
    parser.add_argument("--image-size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--batch-size", type=int, default=TrainConfig.batch_size)
    parser.add_argument("--scored", type=int, default=500, help="unlabelled images to score, at most")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--csv", type=Path, default=Path("midl.csv"))
    parser.add_argument("--work", type=Path, default=Path("midl-runs"), help="folder of unfinished trainings")
    parser.add_argument("--keep", action="store_true", help="keep the trained detectors")
    arguments = parser.parse_args()

    pool, categories = load_coco(arguments.annotations, arguments.images)
    tests = {name: tuple(load_coco(Path(f), Path(d), categories=categories)[0]) for name, f, d in arguments.test}
    data = Data(tuple(categories), tuple(sorted(pool, key=lambda image: image.name)), tests)
    done = finished(arguments.csv)
    runs = [run for run in planned(arguments) if run.key not in done]
    print(f"{len(runs)} trainings to run, {arguments.jobs} side by side", flush=True)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as processes:
        waiting = {
            processes.submit(
                measure,
                data,
                run.config,
                share=run.share,
                folder=arguments.work / run.folder,
                threads=threads_of(arguments.jobs),
                scored=arguments.scored,
            ): run
            for run in runs
        }
        for future in as_completed(waiting):
            run = waiting[future]
            write(arguments.csv, dict(zip(KEY, run.key, strict=True)) | future.result())
            if not arguments.keep:
                shutil.rmtree(arguments.work / run.folder, ignore_errors=True)


def planned(arguments: argparse.Namespace) -> Iterator[Run]:
    """All trainings, seeds outermost: a run that is stopped early has all variants of some seeds."""
    variants = STUDIES[arguments.study]
    unknown = set(arguments.variants or ()) - set(variants)
    if unknown:
        raise SystemExit(f"--variants {', '.join(sorted(unknown))}: study {arguments.study} has {', '.join(variants)}")
    name = arguments.data or arguments.images.resolve().name
    for seed, share, steps, variant in product(
        arguments.seeds, arguments.shares, arguments.steps, arguments.variants or variants
    ):
        config = config_of(
            variants[variant],
            detector=arguments.detector,
            backbone=arguments.backbone,
            weights=arguments.weights,
            steps=steps,
            batch_size=arguments.batch_size,
            image_size=arguments.image_size,
            seed=seed,
        )
        numbers = (f"{share:g}", str(steps), str(arguments.image_size), str(seed))
        yield Run((name, arguments.detector, arguments.backbone, variant, *numbers), share, config)


def finished(path: Path, key: Sequence[str] = KEY) -> set[tuple[str, ...]]:
    """Keys of the lines that are there."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in key if name not in (reader.fieldnames or ())]:
            raise SystemExit(
                f"{path} has no column {', '.join(missing)}: name another file, or add what its lines have"
            )
        return {tuple(row[name] for name in key) for row in reader}


def write(path: Path, row: dict[str, Any]) -> None:
    """Add a line; a column that the file does not know yet is added to it."""
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    shown = {
        name: f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
        for name, value in row.items()
    }
    rows.append(shown)
    columns = list(dict.fromkeys(name for line in rows for name in line))
    fresh = path.with_suffix(".new")
    with fresh.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    fresh.replace(path)
    print("  ".join(f"{name} {value}" for name, value in shown.items() if value), flush=True)


if __name__ == "__main__":
    main()
