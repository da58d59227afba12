"""Labels of a data set folder: its format found, its labels read, those of the pool's pictures taken."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from curate.errors import CurateError, UsageError
from curate.labels.match import SourceMatcher
from curate.labels.place import Rules, place
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage
from curate.labels.types import LabelSet
from curate.labels.values import is_text
from curate.registry import Registry
from curate.types import Source

DATASETS = Registry("curate.labels.datasets", "data set format")
_DEPTH = 2


class DatasetFormat(Protocol):
    """A module of `curate/labels/datasets/`."""

    # What its folders look like, for `--help` and the documentation.
    DESCRIPTION: str
    # How many parts at the end of a path tell pictures of the data set apart; None: all that its label file states.
    MATCHED_PARTS: int | None

    @staticmethod
    def is_root(folder: Path) -> bool:
        """Whether a folder is a data set of this format."""

    @staticmethod
    def read(root: Path, problems: Problems) -> Returned:
        """Read it, with names of pictures relative to `root`. What is wrong is noted in `problems`, or raised."""


@dataclass(frozen=True)
class DatasetLabels:
    """The labels of a data set for pictures of the pool, and how many further pictures it has labels for."""

    format: str
    roots: tuple[Path, ...]
    labels: LabelSet
    not_in_pool: int


def read_dataset(folder: Path, sources: Iterable[Source], *, format: str | None = None) -> DatasetLabels:
    """Read the labels of the data sets in a folder, up to two levels down; `format` forces one of the registry.

    Labels of pictures that are no sources are left out: a pool may be a part of a data set.

    Raises UsageError where no data set, or several formats, are found; LabelError with all that is wrong with the
    labels of the pool's pictures; CurateError where not one of them is in the pool.
    """
    name, roots = find_datasets(folder, format)
    form, problems, sources = _load(name), Problems(folder), list(sources)
    pictures, matcher = Pictures(sources), SourceMatcher(sources)
    images: list[ReturnedImage] = []
    categories: list[str] = []
    read = 0
    for root in roots:
        returned = form.read(root, problems)
        categories += returned.categories
        read += len(returned.images)
        for image in returned.images:
            found = pictures.find(image.file_name, root, form.MATCHED_PARTS)
            if len(found) > 1:
                detail = f"{len(found)} sources fit: {', '.join(source.path for source in found[:3])}"
                problems.add("ambiguous-image", image.subject, detail)
            elif found:
                # A source's key is the one name that means no other.
                images.append(replace(image, file_name=found[0].source, video=None))
            elif _is_frame_of_a_video(image, matcher):
                images.append(image)
    problems.raise_if_any()
    if not images:
        raise CurateError(
            f"{folder}: labels for {read:,} pictures ({name}), but none of them is in the pool; give the folder of the "
            "pictures to `curate score` as well"
        )
    placed = place(Returned(tuple(dict.fromkeys(categories)), tuple(images)), sources, Rules(), problems)
    return DatasetLabels(name, tuple(roots), placed.labels, read - len(images))


def find_datasets(folder: Path, format: str | None) -> tuple[str, list[Path]]:
    """The format of a folder and the data sets in it; UsageError where there is none, or several formats fit."""
    names = [format] if format is not None else DATASETS.names()
    found = {name: list(_roots(folder, _load(name), _DEPTH)) for name in names}
    found = {name: roots for name, roots in found.items() if roots}
    if len(found) == 1:
        ((name, roots),) = found.items()
        return name, roots
    if found:
        fits = "; ".join(f"{name} fits {roots[0]}" for name, roots in found.items())
        raise UsageError(f"{folder}: {fits}; name one with --labels-format")
    known = "; ".join(f"{name}: {_load(name).DESCRIPTION}" for name in names)
    raise UsageError(f"{folder}: no data set in this folder; known are {known}")


class Pictures:
    """The pool's pictures by path, and by the ends of their paths."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._images = [(_parts(source.path), source) for source in sources if source.kind == "image"]
        self._by_path = dict(self._images)
        self._by_end: dict[int, dict[tuple[str, ...], list[Source]]] = {}

    def find(self, name: object, root: Path, matched_parts: int | None) -> list[Source]:
        """The pictures that a name below `root` can mean: that very file; else those whose path ends as the name does.

        Among several those below `root` come first.
        """
        if not is_text(name):
            return []
        parts = tuple(part for part in _parts(name) if part != "/")
        whole = _parts(os.path.abspath(root / name))
        if whole in self._by_path:
            return [self._by_path[whole]]
        end = parts[-(matched_parts or len(parts)) :]
        found = self._ending(len(end)).get(end, [])
        top = _parts(os.path.abspath(root))
        below = [source for source in found if _parts(source.path)[: len(top)] == top]
        return below or found

    def _ending(self, length: int) -> dict[tuple[str, ...], list[Source]]:
        if length not in self._by_end:
            ends: dict[tuple[str, ...], list[Source]] = defaultdict(list)
            for parts, source in self._images:
                ends[parts[-length:]].append(source)
            self._by_end[length] = dict(ends)
        return self._by_end[length]


def _is_frame_of_a_video(image: ReturnedImage, matcher: SourceMatcher) -> bool:
    """Whether a video of the pool fits; a video that is not found, or named twice, is told where it is placed."""
    names = (image.video.names or ()) if image.video is not None else ()
    return any(matcher.candidates("video", name) for name in names if is_text(name))


def _roots(folder: Path, form: DatasetFormat, depth: int) -> Iterator[Path]:
    if form.is_root(folder):
        yield folder
    elif depth:
        for inside in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            yield from _roots(inside, form, depth - 1)


def _load(name: str) -> DatasetFormat:
    return cast(DatasetFormat, DATASETS.load(name))


def _parts(path: str) -> tuple[str, ...]:
    # macOS stores names decomposed; label files have them composed. Windows tools write backslashes.
    return PurePosixPath(unicodedata.normalize("NFC", path).replace("\\", "/")).parts
