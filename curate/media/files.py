"""Sources as files: their hash, and JPEGs written whole or not at all."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import cannot_write

if TYPE_CHECKING:
    from PIL import Image

CACHE_QUALITY = 90
FULL_SIZE_QUALITY = 95


def sha256_of(path: Path, beat: Callable[[], None] = lambda: None) -> str:
    """The SHA-256 of a file in hex, read in blocks; `beat` is called at each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(4 * 2**20):
            digest.update(block)
            beat()
    return digest.hexdigest()


def write_jpeg(path: Path, picture: "Image.Image", quality: int) -> None:
    """Write an RGB picture, so that a kill leaves no half-written file under `path`.

    CurateError where it cannot be written, so that a full disk stops the run and is not taken for a bad video.
    """
    data = BytesIO()
    picture.save(data, format="JPEG", quality=quality)
    # Not by Pillow, which does not notice that only a part found room.
    _write_whole(path, data.getvalue())


def copy_file(source: Path, path: Path) -> None:
    """Copy the bytes of `source`, with the same promises as `write_jpeg`."""
    _write_whole(path, source.read_bytes())


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            # The first of its folder.
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left half-written in `folder`; a copy of the same source may be read beside."""
    for leftover in folder.glob(".*.tmp"):
        if not _is_running(int(leftover.name.split(".")[-2])):
            leftover.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
