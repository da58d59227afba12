"""Numbered videos of many kinds through every decoder: how many frames are delivered, and how many are wrong.

    python benchmarks/decode_suite.py [--cuts 0]

Makes the suite of `tests/video_suite.py` in a temporary folder: each picture shows its own number. One line a file and
backend: frames delivered, of how many, wrong frames, wrong time stamps, and why a file is refused or ends early. With
`--cuts N`, every kind that the suite cuts is cut at N more places. Exits with 1 if a frame or a time stamp is wrong.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames delivered and wrong, by file and decoder.")
    parser.add_argument("--cuts", type=int, default=0, help="cut each kind at this many more places")
    arguments = parser.parse_args()

    from video_suite import SUITE, Outcome, cut_videos, decode_and_compare

    from curate.media.decode import BACKENDS
    from curate.media.probe import probe

    more = [0.15 + 0.84 * (number + 0.5) / arguments.cuts for number in range(arguments.cuts)]
    suite = SUITE | cut_videos(more)
    width = max(map(len, suite))
    print(f"{'file':<{width}}  backend  chosen  frames   of  wrong frames  wrong times  remark")
    delivered = wrong_frames = wrong_times = 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, video in suite.items():
            with quiet():
                path = video.make(Path(folder) / name)
                found = probe(path)
            for backend in BACKENDS:
                if found.error:
                    outcome = Outcome(0, 0, 0, 0, found.error)
                else:
                    with quiet():
                        outcome = decode_and_compare(path, video, backend)
                delivered += outcome.delivered
                wrong_frames += outcome.wrong_frames
                wrong_times += outcome.wrong_times
                chosen = "yes" if found.backend == backend else ""
                print(
                    f"{name:<{width}}  {backend:<7}  {chosen:<6}  {outcome.delivered:6}  {len(video.times_s):3}  "
                    f"{outcome.wrong_frames:12}  {outcome.wrong_times:11}  {outcome.error}".rstrip(),
                    flush=True,
                )
    print(
        f"{len(suite)} files, {delivered:,} frames delivered, wrong frames: {wrong_frames}, "
        f"wrong time stamps: {wrong_times}, {time.perf_counter() - started:.0f} s"
    )
    sys.exit(1 if wrong_frames or wrong_times else 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Encoders and decoders write their opinions straight to file descriptor 2."""
    kept, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(devnull)


if __name__ == "__main__":
    main()
