"""Find the videos and images under the paths that were typed."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.types import Skipped, printable

_VIDEO = (
    ".mp4 .m4v .mov .qt .mkv .webm .avi .divx .ts .mts .m2ts .mpg .mpeg .mpe .m1v .m2v .vob .3gp .3g2 .wmv .asf "
    ".flv .f4v .ogv .mxf .y4m .h264 .264 .h265 .265 .hevc .ivf .dv .mjpg .mjpeg .gxf .nut"
)
_IMAGE = ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .webp .gif .ppm .pgm .pbm .pnm .jp2 .avif .heic .heif"
VIDEO_EXTENSIONS = frozenset(_VIDEO.split())
IMAGE_EXTENSIONS = frozenset(_IMAGE.split())

_VOC_MASKS = frozenset({"SegmentationClass", "SegmentationObject"})

# Extensions that source code has too: TypeScript's .ts and .mts.
_SHARED_WITH_TEXT = frozenset({".ts", ".mts"})


@dataclass(frozen=True)
class Discovered:
    """What was found: `files` to read, absolute, sorted, each once, and what had to be passed over, by path."""

    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def discover(paths: Sequence[str]) -> Discovered:
    """The videos and images that `paths` name.

    A path is a file (taken whatever its extension), a folder (searched to the bottom, symbolic links followed, by
    extension; hidden files and folders and workspaces of curate are left out), or `@list.txt`, a file with one path
    a line, relative to the list's own folder, where `#` starts a comment line. Folders that cannot be listed, and files
    that are not there any more or have a name that is not UTF-8, are skipped.

    Raises:
        UsageError: a path does not exist, the folder that it is in cannot be entered, or all that is given is empty
            lists.
        CurateError: a folder holds no video and no image, or all that was found had to be skipped.
    """
    found: set[Path] = set()
    reasons: dict[str, str] = {}
    for path, origin in _expand_lists(paths):
        if os.path.isdir(path):
            unlisted: list[OSError] = []
            inside = list(_walk(path, unlisted.append))
            if not inside and not unlisted:
                raise CurateError(
                    f"{path}: no videos or images in this folder; looked for {_listed(VIDEO_EXTENSIONS)} and "
                    f"{_listed(IMAGE_EXTENSIONS)}; give a file by name to have it read whatever its extension"
                )
            found.update(inside)
            reasons |= {
                printable(error.filename): f"the folder cannot be listed ({error.strerror})" for error in unlisted
            }
        else:
            _check_file(path, origin)
            found.add(path)
    if paths and not found and not reasons:
        raise UsageError(f"{', '.join(paths)}: an empty list; write the paths of videos, images or folders, one a line")
    unusable = {path: reason for path in found if (reason := _unusable(path))}
    reasons |= {printable(path): reason for path, reason in unusable.items()}
    skipped = tuple(Skipped(path, reason) for path, reason in sorted(reasons.items()))
    files = tuple(sorted(found - unusable.keys()))
    if skipped and not files:
        raise CurateError(
            f"{skipped[0].path}: {skipped[0].reason}; there is nothing else to read"
            + (f", and {len(skipped) - 1:,} more are skipped" if len(skipped) > 1 else "")
        )
    return Discovered(files, skipped)


def _check_file(path: Path, origin: str) -> None:
    """UsageError for a path that was typed and leads to nothing that can be read."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UsageError(f"{printable(path)}: no such file or folder{origin}") from error
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read ({error.strerror}){origin}") from error


def _unusable(path: Path) -> str:
    """Why a file cannot be taken, or nothing."""
    if printable(path) != str(path):
        return "its path is not UTF-8, and cannot be written down; rename it"
    try:
        path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def folders(paths: Sequence[str]) -> list[Path]:
    """The folders among `paths`, absolute; also those that a list names."""
    return [path for path, _ in _expand_lists(paths) if path.is_dir()]


def _expand_lists(paths: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each path made absolute, with the words that say which list named it."""
    for text in paths:
        # A file whose own name starts with @ is still reachable: as ./@name.
        if not text.startswith("@"):
            yield _absolute(Path(text).expanduser()), ""
            continue
        list_path = _absolute(Path(text[1:]).expanduser())
        try:
            # utf-8-sig: editors on Windows begin the file with a byte order mark.
            lines = list_path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError as error:
            raise UsageError(f"{text}: no such list; @FILE names a text file with one path a line") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{text}: not a readable text file with one path a line ({error})") from error
        for number, line in enumerate(lines, start=1):
            entry = line.strip()
            if entry and not entry.startswith("#"):
                yield _absolute(list_path.parent / Path(entry).expanduser()), f" (line {number} of {list_path})"


def _absolute(path: Path) -> Path:
    # Not resolve(): a symbolic link keeps the name that the user gave it.
    return Path(os.path.abspath(path))


def _walk(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    visited: set[str] = set()
    for current, folders, files in os.walk(folder, followlinks=True, onerror=on_error):
        real = os.path.realpath(current)
        if real in visited or "workspace.json" in files:
            # A link back up, or a workspace: its cache and selection are copies of frames, not sources.
            folders.clear()
            continue
        visited.add(real)
        if "JPEGImages" in folders:
            # The masks of a Pascal VOC data set are pictures, but no pictures to label.
            folders[:] = [name for name in folders if name not in _VOC_MASKS]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(current, name)
            if not name.startswith(".") and _is_media(path):
                yield path


def _is_media(path: Path) -> bool:
    extension = path.suffix.lower()
    if extension in _SHARED_WITH_TEXT:
        return not _is_text(path)
    return extension in VIDEO_EXTENSIONS or extension in IMAGE_EXTENSIONS


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    return bool(head) and b"\0" not in head and not any(byte < 9 or 13 < byte < 32 for byte in head)


def _listed(extensions: frozenset[str]) -> str:
    return " ".join(sorted(extensions))
