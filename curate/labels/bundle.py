"""The files of a return: one file, a folder or a zip. Nothing outside it is read, and never more than a limit."""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from curate.errors import UsageError
from curate.labels.problems import Problems
from curate.labels.values import is_text

# The labels of all of COCO 2017 are 0.45 GB in one file.
MAX_FILE_BYTES = 512 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30
MAX_FILES = 1_000_000
_CHUNK = 2**20
_DRIVE = re.compile(r"[A-Za-z]:")
_BLANK = b" \t\r\n\0"
# Label files shrink to a tenth, at most to a fiftieth.
_BOMB_RATIO = 200
_BOMB_BYTES = 16 * 2**20
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class Bundle:
    """The names of a return's files, POSIX and relative, sorted, and their content."""

    def __init__(
        self, path: Path, names: Sequence[str], opener: Callable[[str], IO[bytes]], problems: Problems, *, single: bool
    ) -> None:
        self.path = path
        self.names = tuple(names)
        self.single = single
        self._opener = opener
        self._problems = problems
        self._total = 0

    def place(self, name: str) -> str:
        """How messages name a file of this return; "" where it is the only one."""
        return "" if self.single else name

    def label_file(self, name: str) -> str:
        """Where a label came from: the absolute path of a file, with its name in the zip if it is in one."""
        return str(self.path.absolute() if self.single else self.path.absolute() / name)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of this return; LabelError where a zip is damaged."""
        try:
            with self._opener(name) as file:
                yield file
        except _BAD_ZIP as error:
            raise self._problems.fatal("bad-zip", f"{name}: {error}") from error
        except OSError as error:
            raise UsageError(f"{self.label_file(name)}: cannot be read ({error.strerror})") from error

    def head(self, name: str, size: int = 4096) -> bytes:
        """The first bytes of a file."""
        with self.open(name) as file:
            return file.read(size)

    def read(self, name: str) -> bytes:
        """A whole file; LabelError where it is larger than a label file can be, or holds a MiB of nothing."""
        chunks: list[bytes] = []
        size = 0
        with self.open(name) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                self._total += len(chunk)
                if size > MAX_FILE_BYTES or self._total > MAX_TOTAL_BYTES:
                    limit = MAX_FILE_BYTES if size > MAX_FILE_BYTES else MAX_TOTAL_BYTES
                    raise self._problems.fatal("too-large", f"{name}: more than {limit // 2**20} MiB of labels")
                if len(chunk) == _CHUNK and not chunk.strip(_BLANK):
                    raise self._problems.fatal("blank", f"{name}: 1 MiB of white space from byte {size - _CHUNK:,} on")
                chunks.append(chunk)
        return b"".join(chunks)


@contextmanager
def open_bundle(path: Path, problems: Problems) -> Iterator[Bundle]:
    """Open a return. UsageError if there is nothing at `path`, LabelError where what is there is not safe to read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a label file, a folder or a zip") from error
    if stat.S_ISDIR(mode):
        names = _folder_names(path, problems)
        yield Bundle(path, names, lambda name: (path / name).open("rb"), problems, single=False)
    elif not stat.S_ISREG(mode):
        raise UsageError(f"{path}: neither a file nor a folder; give a label file, a folder or a zip")
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        try:
            archive = zipfile.ZipFile(path)
        except _BAD_ZIP as error:
            raise problems.fatal("bad-zip", str(error)) from error
        with archive:
            entries = _zip_names(archive, problems)
            yield Bundle(path, sorted(entries), lambda name: archive.open(entries[name]), problems, single=False)
    else:
        yield Bundle(path, (path.name,), lambda _: path.open("rb"), problems, single=True)


def _folder_names(folder: Path, problems: Problems) -> list[str]:
    """The files below a folder. A link may stay within it; one that leads out is refused, wherever it leads."""
    root = folder.resolve()
    names = []
    for directory, folders, files in os.walk(folder):
        for entry in (*folders, *files):
            path = Path(directory, entry)
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise problems.fatal("link-outside", f"{_printable(name)}: a link that leads out of the folder")
            if entry in files and path.is_file() and not _is_clutter(name):
                names.append(_checked(name, problems))
    if len(names) > MAX_FILES:
        raise problems.fatal("too-large", f"more than {MAX_FILES:,} files")
    return sorted(names)


def _zip_names(archive: zipfile.ZipFile, problems: Problems) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by their POSIX names. Nothing is unpacked, yet names that would lead out are refused."""
    entries: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > MAX_FILES:
        raise problems.fatal("too-large", f"more than {MAX_FILES:,} files")
    for info in archive.infolist():
        # Some Windows programs write backslashes, against the format.
        name = info.filename.replace("\\", "/")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or _DRIVE.match(name):
            raise problems.fatal("unsafe-name", f"{_printable(name)}: leads out of the zip")
        if info.is_dir() or _is_clutter(name):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise problems.fatal("link-outside", f"{_printable(name)}: a link in a zip")
        if info.flag_bits & 1:
            raise problems.fatal("encrypted-zip", f"{_printable(name)}: needs a password")
        if info.file_size > max(_BOMB_BYTES, _BOMB_RATIO * info.compress_size):
            detail = f"{info.compress_size:,} bytes that unpack to {info.file_size:,}"
            raise problems.fatal("zip-bomb", f"{_printable(name)}: {detail}")
        if name in entries:
            raise problems.fatal("bad-zip", f"{_printable(name)}: twice in the zip")
        entries[_checked(name, problems)] = info
    return entries


def _is_clutter(name: str) -> bool:
    """What file managers leave behind: .DS_Store, __MACOSX/._labels.json."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _checked(name: str, problems: Problems) -> str:
    if not is_text(name) or any(ord(character) < 32 for character in name):
        raise problems.fatal("unsafe-name", f"{_printable(name)}: a name with bytes that are no text")
    return name


def _printable(name: str) -> str:
    return name.encode("unicode_escape").decode() if not name.isprintable() else name
