"""Read one COCO detection file (images) or CocoVID file (frames of videos), with whatever classes it has."""

from collections.abc import Iterable
from pathlib import Path

from curate.errors import UsageError
from curate.labels.place import Rules
from curate.labels.read import read_return
from curate.labels.types import LabelSet
from curate.types import Source


def read_coco(path: Path, sources: Iterable[Source]) -> LabelSet:
    """Read a COCO or CocoVID file whose images are frames of `sources`.

    An image is matched by the name that `export` gave it; else, with a `video_id`, by its video and `frame_index`
    (0-based, presentation order); else by its path (see SourceMatcher). Images without annotations are labelled
    frames without objects. Boxes and polygons of a picture labelled at another scale are brought to the source's
    upright size; boxes that are partly outside are clipped. Categories are in the order of their ids.

    Raises LabelError with what is wrong with the file, all of it, and UsageError if there is no such file. Either
    the whole file is returned or none of it.
    """
    if path.is_dir():
        raise UsageError(f"{path}: cannot be read (Is a directory); give a COCO JSON file")
    return read_return(path, sources, format="coco", rules=Rules()).placed.labels
