"""An export's folder: made beside its place and moved there when complete, with checksums."""

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.errors import CurateError, cannot_write

CHECKSUMS = "SHA256SUMS"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


@contextmanager
def replaced_folder(place: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `place` when the block ends without an error.

    The old folder is there until then, and is not replaced if somebody has put or changed files in it. What a killed
    run left is mended first. Only one process may do this at a time. CurateError where the disk is full, or the folder
    that it is in cannot be written.
    """
    new = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _mend(place)
        refuse_if_touched(place)
        new.mkdir()
    except OSError as error:
        raise cannot_write(place, error) from error
    try:
        yield new
        if place.exists():
            # A folder cannot be renamed onto a full one, so the old one steps aside; `_mend` brings it back.
            old = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.old")
            os.replace(place, old)
            os.replace(new, place)
            shutil.rmtree(old)
        else:
            os.replace(new, place)
    except OSError as error:
        # Any other, such as of a picture that is missing, is not of this folder.
        if error.errno in _NO_ROOM:
            raise cannot_write(place, error) from error
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _mend(place: Path) -> None:
    """Bring back an old folder that a kill left aside, and remove other leftovers."""
    for old in place.parent.glob(f".{place.name}.*.old"):
        if place.exists():
            shutil.rmtree(old)
        else:
            os.replace(old, place)
    for new in place.parent.glob(f".{place.name}.*.tmp"):
        shutil.rmtree(new)


def refuse_if_touched(place: Path) -> None:
    """CurateError if `place` holds what an export did not write, or a list or annotations that were edited."""
    if not place.exists() and not place.is_symlink():
        return
    if place.is_symlink() or not place.is_dir():
        raise CurateError(f"{place}: not a folder that an export made; move it away, then export again")
    written = read_checksums(place)
    for path in files_of(place):
        name = path.relative_to(place).as_posix()
        if path.name.startswith("."):
            continue  # what file managers leave, such as .DS_Store
        if name not in written:
            raise CurateError(f"{path}: the export did not write this file; move it away, then export again")
        # Images are not compared: they are many, and nobody works in them.
        if path.suffix != ".jpg" and sha256_of(path) != written[name]:
            raise CurateError(f"{path}: changed since it was exported; move it away, then export again")


def is_file_name(stem: str) -> bool:
    """Whether every receiver takes `stem` as a file's name: ASCII letters, digits, dot, dash and underscore."""
    return _FILE_NAME.fullmatch(stem) is not None


def place_in(folder: Path, name: str) -> Path:
    """`folder / name`, through which all writing goes.

    CurateError if that is not inside `folder`, by the name itself or by a symbolic link on the way.
    """
    root, target = folder.resolve(), (folder / name).resolve()
    if target == root or not target.is_relative_to(root):
        raise CurateError(f"{name!r}: leads out of the export's folder, nothing is written there; mend that name")
    return target


def write_text(folder: Path, name: str, text: str) -> None:
    """Write a text file of the export, in UTF-8 with "\\n" ends of lines; `name` is relative to `folder`."""
    target = place_in(folder, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")


def write_json(folder: Path, name: str, value: Any, *, indent: int = 1) -> None:
    """Write a JSON file of the export. A NaN is a ValueError: receivers refuse it."""
    write_text(folder, name, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def write_zip(folder: Path, name: str) -> None:
    """Pack all files that `folder` has so far into `folder / name`; equal files give equal bytes."""
    target = place_in(folder, name)
    files = files_of(folder)
    with zipfile.ZipFile(target, "w") as archive:
        for path in files:
            # Without the file's own time; a JPEG gets no smaller by compression.
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".jpg" else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(file, packed, 1 << 20)


def put(file: Path, target: Path) -> None:
    """Place a file in the export: a hard link where the file system allows it, a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file.resolve(), target)
    except OSError:
        shutil.copyfile(file, target)


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS over all files of the folder; `sha256sum -c SHA256SUMS` verifies it there."""
    lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files_of(folder)]
    write_text(folder, CHECKSUMS, "".join(lines))


def read_checksums(folder: Path) -> dict[str, str]:
    """The sha256 of each file by its name, of SHA256SUMS itself too; empty where the folder has no checksums."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    return {**sums, CHECKSUMS: sha256_of(path)}


def files_of(folder: Path) -> list[Path]:
    """All files under a folder, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
