"""The same selection from the same scores, whatever the order of rows, the number of threads and the hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from selection.pools import write_workspace

SELECT = """
import sys
from pathlib import Path
from curate.pipeline.select import select
from curate.selection.budget import Budget
from curate.selection.options import SelectOptions
from curate.selection.registry import ACQUISITIONS
from curate.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
for name in ACQUISITIONS.names():
    select(workspace, Budget(percent=10), SelectOptions(acquisition=name, seed=3), images=False)
    for file in ("selection.csv", "selection.jsonl", "run.json"):
        (Path(sys.argv[2]) / f"{name}-{file}").write_bytes((workspace.selection / file).read_bytes())
"""
VIDEOS = (900, 700, 300, 40)
LABELED = range(0, 1900, 97)


def selections(folder: Path, *, shuffle: int | None, parts: int, threads: str, hash_seed: str) -> dict[str, bytes]:
    workspace = write_workspace(folder / "w", videos=VIDEOS, images=60, labeled=LABELED, shuffle=shuffle, parts=parts)
    out = folder / "out"
    out.mkdir()
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    subprocess.run([sys.executable, "-c", SELECT, workspace.root, out], env=environment, check=True)
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("first")
    return selections(folder, shuffle=None, parts=3, threads="1", hash_seed="0")


@pytest.mark.parametrize(("shuffle", "parts", "threads"), [(1, 7, "2"), (2, 1, "1")])
def test_byte_for_byte(first: dict[str, bytes], tmp_path: Path, shuffle: int, parts: int, threads: str) -> None:
    again = selections(tmp_path, shuffle=shuffle, parts=parts, threads=threads, hash_seed=str(shuffle))
    assert len(first) == len(again) > 30
    assert [name for name in first if first[name] != again[name]] == []
