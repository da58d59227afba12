"""Checks of the machine, each by really using the part: decode a video, load the weights, start MongoDB."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curate.browse.database import connect
from curate.errors import CurateError
from curate.report import versions


@dataclass(frozen=True)
class Check:
    """One part: whether it works, what was found or what is wrong, and whether `curate score` needs it."""

    name: str
    ok: bool
    found: str
    needed: bool


class _Missing(Exception):  # noqa: N818
    """A part that does not do what it should, in words."""


def check() -> list[Check]:
    """All checks. Those that are not `needed` cost a feature or speed, not the main job."""
    checks = [Check("versions", True, ", ".join(f"{k} {v}" for k, v in versions().items()), True)]
    with tempfile.TemporaryDirectory(prefix="curate-doctor-") as folder:
        video = Path(folder) / "probe.mp4"
        checks.append(_try("PyAV", True, lambda: _pyav(video)))
        checks.append(_try("decord", False, lambda: _decord(video)))
    checks.append(_try("embedded weights", True, _weights))
    checks.append(_try("GPU", False, _gpu))
    checks.append(_try("MongoDB for FiftyOne", False, _database))
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    checks.append(Check("disk", free > 1, f"{free:,.0f} GB free here", True))
    return checks


def _try(name: str, needed: bool, use: Callable[[], str]) -> Check:
    """A check fails on whatever the part raises: the point is to say so rather than to stop."""
    try:
        return Check(name, True, use(), needed)
    except (_Missing, CurateError) as error:
        return Check(name, False, str(error), needed)
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}", needed)


def _pyav(video: Path) -> str:
    import av
    import numpy as np

    with av.open(video, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in (0, 80, 160):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(video) as container:
        frames = sum(1 for _ in container.decode(video=0))
    if frames != 3:
        raise _Missing(f"wrote 3 frames and read {frames}")
    return "encodes and decodes H.264"


def _decord(video: Path) -> str:
    import decord

    frames = len(decord.VideoReader(str(video)))
    if frames != 3:
        raise _Missing(f"read {frames} of 3 frames; videos are read with PyAV instead")
    return "decodes H.264"


def _weights() -> str:
    from detectors.embedding import Embedder

    Embedder()
    return "efficientnet_lite0, ImageNet"


def _database() -> str:
    return f"starts, {len(connect().list_datasets())} datasets"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise _Missing("no CUDA device; training and scoring run on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names)
