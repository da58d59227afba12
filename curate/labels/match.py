"""Which source a name in a label file means."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from curate.types import Source, SourceKind, parse_export_stem

# What tools make of a name: Roboflow `clip_jpg.rf.<hash>`, Label Studio `<8 hex>-clip` for a file that was uploaded.
_ROBOFLOW = re.compile(r"(?:_(?:jpe?g|png|bmp|tiff?|webp))+\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
_LABEL_STUDIO = re.compile(r"^[0-9a-f]{8}-(?=.)")


class SourceMatcher:
    """Finds sources by the names that label files use: exported names, paths, or parts of paths."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._by_key: dict[str, Source] = {}
        # None where two keys differ in their punctuation alone: better unknown than wrong.
        self._by_plain_key: dict[str, Source | None] = {}
        self._by_name: dict[tuple[SourceKind, str], list[tuple[tuple[str, ...], Source]]] = defaultdict(list)
        self._by_stem: dict[tuple[SourceKind, str], list[tuple[tuple[str, ...], Source]]] = defaultdict(list)
        for source in sources:
            self._by_key[source.source] = source
            plain = _plain(source.source)
            self._by_plain_key[plain] = None if plain in self._by_plain_key else source
            path = _path(source.path)
            self._by_name[source.kind, path.name].append((path.parts, source))
            self._by_stem[source.kind, path.stem].append((path.with_suffix("").parts, source))

    def exported(self, file_name: str) -> tuple[Source, int] | None:
        """The source and frame index of a file that `export` named; None for any other name. Images have index 0."""
        for stem in stems(_path(file_name).stem):
            frame_id = parse_export_stem(stem)
            if frame_id is None:
                continue
            key, _, index = frame_id.partition(":")
            source = self._by_key.get(key) or self._by_plain_key.get(_plain(key))
            if source is not None and (source.kind == "video") == bool(index):
                return source, int(index or 0)
        return None

    def candidates(self, kind: SourceKind, name: str) -> list[Source]:
        """The sources of a kind that `name` can mean: none if unknown, one if found, several if ambiguous.

        A source's key (`clip-1a2b3c4d`, with or without an extension) comes first. Then, among the sources with the
        same file name, those that share the longest end of the path. Where no file name is the same, the same is
        done without extensions, since labelling tools drop or change them, and without what they add (see `stems`).
        """
        path = _path(name)
        for key in (path.name, path.stem):
            if key in self._by_key and self._by_key[key].kind == kind:
                return [self._by_key[key]]
        same_name = self._by_name.get((kind, path.name))
        if same_name:
            return _longest_end(path.parts, same_name)
        for stem in (path.name, *stems(path.stem)):
            same_stem = self._by_stem.get((kind, stem))
            if same_stem:
                return _longest_end((*path.parts[:-1], stem), same_stem)
        return []


def stems(stem: str) -> Iterator[str]:
    """The stem of a file name, then what it was before a labelling tool added to it."""
    yield stem
    for pattern in (_ROBOFLOW, _LABEL_STUDIO):
        shorter = pattern.sub("", stem)
        if shorter != stem:
            yield shorter
            stem = shorter


def _plain(key: str) -> str:
    """A source's key as tools leave it that write `-` or `_` for other characters."""
    return re.sub(r"[^0-9A-Za-z]+", "-", key).lower()


def _path(name: str) -> PurePosixPath:
    # macOS stores names decomposed; a tool elsewhere returns them composed. Windows tools write backslashes.
    return PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/"))


def _longest_end(parts: tuple[str, ...], sources: list[tuple[tuple[str, ...], Source]]) -> list[Source]:
    lengths = [_common_end(parts, other) for other, _ in sources]
    return [source for length, (_, source) in zip(lengths, sources, strict=True) if length == max(lengths)]


def _common_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    length = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        length += 1
    return length
