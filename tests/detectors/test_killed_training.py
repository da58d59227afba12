"""kill -9 in every stage of every detector: the restarted run ends as one that was never killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from killed_worker import STEPS

from detectors.midl import stage_spans
from detectors.registry import detector_names

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kill:
    """SIGKILL once `step` is done. kept: the step of the newest resume file then; every: steps between such files."""

    stage: str
    step: int
    kept: int
    every: int


# In turn, in one run of 9, 3, 3, 9, 3, 3 and 9 steps. Resume files are also written where a stage ends: each kind of
# stage is entered again once at its first step and once inside.
KILLS = [
    Kill("labeled", 8, kept=6, every=6),
    Kill("maximize", 11, kept=9, every=STEPS),
    Kill("minimize", 14, kept=13, every=13),
    Kill("labeled", 20, kept=17, every=17),
    Kill("maximize", 26, kept=25, every=25),
    Kill("minimize", 29, kept=27, every=STEPS),
    Kill("labeled", 33, kept=30, every=STEPS),
]


class Workers:
    """Two interpreters that train in turn: whoever goes on with a run has another string hash than who began it."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(HERE / "killed_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**environment, "PYTHONHASHSEED": seed},
            )
            for seed in ("1", "2")
        ]

    def train(self, job: dict[str, object]) -> list[str]:
        """Train in a new process, kill it where the job says so, and return the lines that it wrote."""
        worker = self._processes.pop(0)
        self._processes.append(worker)
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(json.dumps(job), file=worker.stdin, flush=True)
        lines: list[str] = []
        for line in worker.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "waiting":
                os.kill(int(rest), signal.SIGKILL)
            elif word == "ended":
                assert int(rest) == (0 if job["stop"] is None else -signal.SIGKILL), lines
                return lines
            else:
                lines.append(line.strip())
        raise AssertionError(f"the worker ended with {worker.wait()} after {lines}")

    def close(self) -> None:
        for worker in self._processes:
            worker.kill()
            worker.communicate()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    started = Workers()
    yield started
    started.close()


@pytest.mark.parametrize("detector", detector_names())
def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(workers: Workers, tmp_path: Path, detector: str) -> None:
    (tmp_path / "images").mkdir()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    job = {"images": str(tmp_path / "images"), "detector": detector, "every": STEPS, "stop": None}
    steps = workers.train({**job, "output": str(whole)})
    assert steps.pop() == "resumed from 0"
    stages = [span.stage.value for span in stage_spans(STEPS) for _ in range(span.start, span.stop)]
    assert steps == [f"step {i} {stage}" for i, stage in enumerate(stages, start=1)]

    start = 0
    for kill in KILLS:
        lines = workers.train({**job, "output": str(killed), "every": kill.every, "stop": kill.step})
        assert lines == steps[start : kill.step]  # where the last kill left its resume file
        assert stages[kill.kept] == stages[kill.step - 1] == stages[kill.step] == kill.stage  # inside the stage
        assert torch.load(killed / "resume.pt", weights_only=True)["step"] == kill.kept < kill.step
        assert not (killed / "metrics.json").exists()
        start = kill.kept
    lines = workers.train({**job, "output": str(killed)})
    assert lines == [*steps[start:], f"resumed from {start}"]

    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, killed))
    assert first["stages"] == second["stages"]
    assert first | {"seconds": 0} == second | {"seconds": 0}
    assert not (killed / "resume.pt").exists()
