"""The exported pictures of one source against their original. Runs in a child process (`curate.media.child`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curate.errors import CurateError
from curate.media.compare import picture_size, read_picture, shown
from curate.media.files import sha256_of
from curate.media.redecode import NOT_A_PICTURE, Checked, ExportedFrame, Seen, Verdict, not_readable, redecode
from curate.types import Source

# A picture that is not of its frame is looked for among so many frames to each side, as long as the pictures of a
# source that are looked for hold no more pixels than this: some minutes of one core.
_SEARCHED = 100
_SEARCHED_PIXELS = 2**24


@dataclass(frozen=True)
class RecheckOne:
    """A request: exported frames of one source, compared with the original. Returns a Checked for each.

    `sha256` is what the original must have. `refused` says why no second decoder is to be tried, "" to try one.
    """

    source: Source
    sha256: str
    frames: tuple[ExportedFrame, ...]
    threads: int = 1
    refused: str = ""

    def run(self, report: Callable[[object], None]) -> list[Checked]:
        """See the class."""
        path = Path(self.source.path)
        try:
            sha256 = sha256_of(path, lambda: report(None))
        except OSError as error:
            raise CurateError(f"the original cannot be read ({error.strerror or error})") from error
        if sha256 != self.sha256:
            raise CurateError(f"the original has changed: its sha256 is {sha256}, {self.sha256} was exported")
        checked: list[Checked] = []
        by_size: dict[tuple[int, int], list[ExportedFrame]] = {}
        for frame in self.frames:
            try:
                size_wh = picture_size(frame.picture)
            except NOT_A_PICTURE as error:
                checked.append(_unreadable(frame, error))
                continue
            if _same_shape(size_wh, (self.source.width, self.source.height)):
                by_size.setdefault(size_wh, []).append(frame)
            else:
                found = f"is {size_wh[0]}x{size_wh[1]}, the original {self.source.width}x{self.source.height}"
                checked.append(Checked(frame.frame_index, "differs", reason=found))
        for size_wh, frames in by_size.items():
            compare = self._image if self.source.kind == "image" else self._video
            checked += compare(frames, size_wh, report)
        return checked

    def _image(
        self, frames: Sequence[ExportedFrame], size_wh: tuple[int, int], report: Callable[[object], None]
    ) -> Iterator[Checked]:
        import numpy as np

        from curate.media.images import load

        try:
            original = load(Path(self.source.path))
        except NOT_A_PICTURE as error:
            raise CurateError(f"the original cannot be read ({error})") from error
        if original.size != size_wh:
            original = original.resize(size_wh)
        for frame in frames:
            report(None)
            try:
                picture = read_picture(frame.picture)
            except NOT_A_PICTURE as error:
                yield _unreadable(frame, error)
                continue
            # An upright JPEG was copied as it is, and compressing it once more would only take it away from itself.
            ways = (replace(picture, tables=None), picture)
            difference = min((way.difference(np.asarray(original)) for way in ways), key=lambda found: found.absolute)
            same = shown({0: difference}, 0) is not None
            reason = "" if same else f"differs from the original by {difference.absolute:.1f} levels on average"
            verdict: Verdict = "agrees" if same else "differs"
            yield Checked(frame.frame_index, verdict, "pillow", 0 if same else None, difference.absolute, reason)

    def _video(
        self, frames: Sequence[ExportedFrame], size_wh: tuple[int, int], report: Callable[[object], None]
    ) -> Iterator[Checked]:
        path = Path(self.source.path)
        first = self.source.backend or "pyav"
        second = second_decoder(first)

        def again(frames: Sequence[ExportedFrame], decoder: str, around: int) -> Seen:
            return redecode(
                path,
                frames,
                decoder=decoder,
                size_wh=size_wh,
                around=around,
                threads=self.threads,
                beat=lambda: report(None),
            )

        confirmed = Seen(second, 1) if self.refused else again(frames, second, 1)
        # Where decord stops, what it gave before is no evidence against a picture.
        doubt = self.refused or (confirmed.problem if second == "decord" else "")
        left = []
        for frame in frames:
            if confirmed.fault(frame):
                left.append(frame)
            else:
                yield confirmed.checked(frame, "agrees")
        # What the second decoder did not confirm is read as it was first, to tell a wrong picture from a wrong decoder.
        own = again(left, first, 1)
        most = max(1, _SEARCHED_PIXELS // (size_wh[0] * size_wh[1]))
        searched = [frame for frame in left if own.differs(frame)][:most]
        found = again(searched, first, _SEARCHED)
        for frame in left:
            if not own.fault(frame):
                # PyAV gives all frames before it tells of damage: only what it did not reach is without a witness.
                refused = doubt or ("" if confirmed.reached(frame) else confirmed.problem)
                if refused:
                    yield own.checked(frame, "unconfirmed", f"no second decoder: {refused}")
                else:
                    how = f"as {second} reads it{confirmed.problem and f' ({confirmed.problem})'}; {first} agrees"
                    yield confirmed.checked(frame, "differs", f"{confirmed.fault(frame)}, {how}")
            elif own.differs(frame):
                seen = found if frame in searched else own
                yield seen.checked(frame, "differs", seen.fault(frame))
            else:
                yield own.checked(frame, "unreadable", own.fault(frame))


def second_decoder(first: str) -> str:
    """The decoder that did not read a source at first."""
    return "pyav" if first == "decord" else "decord"


def _same_shape(size_wh: tuple[int, int], original_wh: tuple[int, int]) -> bool:
    """Whether one is the other scaled, but for the rounding to whole pixels."""
    (width, height), (original_width, original_height) = size_wh, original_wh
    return abs(width * original_height - height * original_width) <= max(original_wh)


def _unreadable(frame: ExportedFrame, error: Exception) -> Checked:
    return Checked(frame.frame_index, "unreadable", reason=not_readable(error))
