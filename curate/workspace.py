"""The files of one project on disk: where each lies, one writer at a time, every write whole or not at all."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.errors import CurateError, cannot_write
from curate.tables import atomic_replace

FORMAT = 1
DEFAULT_WORKSPACE = Path("curate-workspace")


class Workspace:
    """A folder that a person can read and delete. Opening one makes nothing but the folder and workspace.json."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root / "index.parquet"
        self.pool = root / "pool.parquet"
        self.frames = root / "frames"
        self.labels = root / "labels.parquet"
        self.labels_history = root / "labels-history"
        self.detectors = root / "detectors"
        self.scores = root / "scores"
        self.selection = root / "selection"
        self.duplicates = root / "duplicates.parquet"
        self.exports = root / "exports"
        self.report = root / "report.json"
        self.settings_path = root / "workspace.json"

    @classmethod
    def create(cls, root: Path, *, imgsz: int) -> "Workspace":
        """Open the workspace at `root`, making it if there is none.

        `imgsz` is the long side of cached frames in pixels; it is fixed when the workspace is made, because the
        cache holds each frame once.
        """
        root = root.absolute()
        if root.exists() and not root.is_dir():
            raise CurateError(f"--workspace {root}: a file, not a folder; give another path")
        workspace = cls(root)
        if not workspace.settings_path.exists():
            try:
                root.mkdir(parents=True, exist_ok=True)
                used = any(root.iterdir())
            except OSError as error:
                raise cannot_write(f"--workspace {root}", error) from error
            if used:
                raise CurateError(f"--workspace {root}: a folder with other things in it; give a new or empty folder")
            workspace.write_json(workspace.settings_path, {"format": FORMAT, "imgsz": imgsz})
        workspace._check_settings()
        if workspace.imgsz != imgsz:
            raise CurateError(
                f"--imgsz {imgsz}: {root} holds frames of {workspace.imgsz} px; "
                f"give --imgsz {workspace.imgsz}, or another --workspace"
            )
        return workspace

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """Open a workspace that exists; CurateError if there is none."""
        workspace = cls(root.absolute())
        if not workspace.settings_path.is_file():
            raise CurateError(f"--workspace {root}: no workspace there; run `curate score PATHS --budget 5%` first")
        workspace._check_settings()
        return workspace

    def _check_settings(self) -> None:
        try:
            settings = self.read_json(self.settings_path)
            made_by, self.imgsz = settings["format"], int(settings["imgsz"])
        except (CurateError, KeyError, TypeError, ValueError) as error:
            raise CurateError(
                f"{self.settings_path}: damaged; all else is still there: write "
                f'{{"format": {FORMAT}, "imgsz": N}} into it, N being the --imgsz that the workspace was made with'
            ) from error
        if made_by != FORMAT:
            raise CurateError(
                f"{self.settings_path}: format {made_by!r}, this version reads {FORMAT}; "
                "make a new workspace, or use the version of curate that made this one"
            )

    @property
    def dataset_name(self) -> str:
        """The FiftyOne dataset that shows this workspace: the folder's name, made unique by its path."""
        return f"curate-{self.root.name}-{hashlib.sha256(str(self.root).encode()).hexdigest()[:6]}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; CurateError at once if another process does, or it is read-only.

        A kill lets go of it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(str(self.root / ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise CurateError(
                f"{self.root}: another curate is writing here; wait for it, or give another --workspace"
            ) from error
        except OSError as error:
            raise cannot_write(f"--workspace {self.root}", error) from error
        try:
            yield
        finally:
            lock.release()

    @staticmethod
    def write_json(path: Path, value: Any) -> None:
        """Write `value` as readable JSON, atomically."""
        atomic_replace(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    @staticmethod
    def read_json(path: Path) -> Any:
        """Read a JSON file of this workspace; CurateError where it is not JSON."""
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CurateError(f"{path}: not readable as JSON ({error})") from error
