"""Answer a selection with labels that are known already: try an active-learning cycle without a labelling vendor.

    python examples/cut_labels.py curate-workspace truth.json labels.json

`truth.json` is a COCO or CocoVID file that labels (at least) the selected frames; `labels.json` gets the part of it
that labels them, ready for `curate score ... --labels labels.json`. File names must be ASCII without spaces.
"""

import sys
from pathlib import Path

from curate.demo import cut_labels
from curate.selection.write import read_selection


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    workspace, truth, labels = map(Path, sys.argv[1:])
    selection = read_selection(workspace / "selection")
    frames = [(frame.source.rpartition("-")[0], frame.frame_index) for frame in selection]
    print(f"{labels}: labels of {cut_labels(truth, labels, frames)} of {len(frames)} selected frames")


if __name__ == "__main__":
    main()
