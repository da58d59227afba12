"""Speed of building a pool of frames: against its decoder alone, ffmpeg, and FiftyOne's conversion of videos to frames.

    python benchmarks/decode.py [--data clips/ [--copies 1 8]] [--rounds 3] [--every 0.5] [--hour]

On a generated 1080p H.264 video of 3,000 frames, and on the videos in `--data` and copies of them: curate's decoding
processes take about 0.3 s to start, which counts, and which a pool of a second or two shows. Every way starts a new
process, uses all cores, and gives frames with a long side of 640 px at most:
  decord    decord alone: every frame of every video decoded forward at that size, none kept; a video for each core at a
            time, and decord's own threads where there is one video
  pyav      PyAV alone, in the same way
  curate    `curate.pipeline.index.index`, the first stage of `curate score`: hashing, probing, decoding, the check
            against a second decoder, one frame each `--every` seconds as JPEG, and the tables of the pool
  ffmpeg    `ffmpeg -vf fps=...,scale=...` to JPEG, a video for each core at a time
  fiftyone  `dataset.to_frames(sample_frames=True, fps=...)`, with a mongod of its own

Frames/s are those of the videos, whatever share is kept. The ways alternate, so that other work on the machine falls on
all. What they write is deleted at the very end: for a minute after many files were deleted, ext4 takes much longer to
make new ones. With `--hour`, instead, the peak memory of all of curate's processes on a generated hour of 1080p.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

IMGSZ = 640
WAYS = ("decord", "pyav", "curate", "ffmpeg", "fiftyone")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of building a pool of frames.")
    parser.add_argument("--data", type=Path, help="a folder of videos, beside the generated one")
    parser.add_argument("--copies", type=int, nargs="+", default=[1], help="how often each video of --data is read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two frames that are kept")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which to compare, with curate")
    parser.add_argument("--only-data", action="store_true", help="not on the generated video")
    parser.add_argument("--hour", action="store_true", help="peak memory on an hour of 1080p")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--videos", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        globals()[arguments.way](arguments.videos, arguments.folder, arguments.every)
        return
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "1080p"
        if arguments.hour:
            make_video(made / "once.mp4", frames=250, fps=25)
            repeat(made / "once.mp4", made / "hour.mp4", times=360)
            print_memory(made, arguments.every)
            return
        if not arguments.only_data:
            make_video(made / "video.mp4", frames=3000, fps=30)
            compare(made, arguments.every, arguments.rounds, arguments.ways)
        for copies in arguments.copies if arguments.data else []:
            videos = Path(name) / f"copies-{copies}"
            videos.mkdir()
            for path in arguments.data.glob("*.mp4"):
                for number in range(copies):
                    (videos / f"{path.stem}-{number}.mp4").symlink_to(path.absolute())
            compare(videos, arguments.every, arguments.rounds, arguments.ways)


def make_video(path: Path, *, frames: int, fps: int) -> None:
    """A gradient that moves, with noise, and a square that moves in it."""
    path.parent.mkdir()
    width, height = 1920, 1080
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = np.stack([x % 256, y % 256, (x + y) % 256], axis=2).astype(np.uint8)
    noise = np.random.default_rng(0).integers(-12, 12, picture.shape, dtype=np.int16)
    picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23", "g": str(10 * fps)}
        for index in range(frames):
            left = index * 7 % (width - 300)
            picture = np.roll(picture, 3, axis=1)
            picture[400:700, left : left + 300] = index % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def repeat(once: Path, path: Path, *, times: int) -> None:
    """Put the packets of a short video into a long one, again and again, and delete the short one."""
    with av.open(str(once)) as given, av.open(str(path), "w") as container:
        stream = given.streams.video[0]
        copy = container.add_stream_from_template(stream)
        packets = [
            (packet.pts, packet.dts, bytes(packet), packet.is_keyframe) for packet in given.demux(stream) if packet.size
        ]
        length = stream.duration
        for number in range(times):
            for pts, dts, data, is_keyframe in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = copy, stream.time_base, is_keyframe
                packet.pts, packet.dts = pts + number * length, dts + number * length
                container.mux(packet)
    once.unlink()


def compare(videos: Path, every_s: float, rounds: int, wanted: list[str]) -> None:
    """Print the frames/s of every way, and the ratios to curate's."""
    paths = sorted(path for path in videos.iterdir() if path.suffix == ".mp4")
    frames = sum(count_frames(path) for path in paths)
    ways = [way for way in WAYS if way == "curate" or way in wanted]
    if not shutil.which("ffmpeg"):
        ways = [way for way in ways if way in ("decord", "pyav", "curate")]
    print(f"{len(paths)} videos, {frames:,} frames, one each {every_s:g} s kept, {os.cpu_count()} cores", flush=True)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            folder = videos.with_name(f"{videos.name}-{way}-{number}")
            folder.mkdir()
            rates[way].append(frames / timed(way, videos, folder, every_s))
    for way in ways:
        ratio = median(ours / theirs for ours, theirs in zip(rates["curate"], rates[way], strict=True))
        shown = " ".join(f"{rate:,.0f}" for rate in rates[way])
        print(
            f"  {way:<9} {median(rates[way]):7,.0f} frames/s ({shown}); curate is {ratio:.2f} times as fast", flush=True
        )


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)


def timed(way: str, videos: Path, folder: Path, every_s: float) -> float:
    """Seconds of one way in a process of its own, its imports not counted: it says when it begins."""
    done = subprocess.run(command(way, videos, folder, every_s), check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def command(way: str, videos: Path, folder: Path, every_s: float) -> list[str]:
    """One way, writing into `folder`."""
    options = ["--videos", str(videos), "--folder", str(folder), "--every", str(every_s)]
    return [sys.executable, __file__, "--way", way, *options]


def decord(videos: Path, folder: Path, every_s: float) -> None:
    import decord as library

    def decode(path: Path, size_wh: tuple[int, int], threads: int) -> None:
        reader = library.VideoReader(str(path), width=size_wh[0], height=size_wh[1], num_threads=threads)
        for _ in range(len(reader)):
            reader.next()

    alone(videos, decode)


def pyav(videos: Path, folder: Path, every_s: float) -> None:
    def decode(path: Path, size_wh: tuple[int, int], threads: int) -> None:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = threads
            stream.thread_type = "AUTO"
            scaler = av.video.reformatter.VideoReformatter()
            for frame in container.decode(stream):
                scaler.reformat(frame, *size_wh, "rgb24", threads=1).to_ndarray()

    alone(videos, decode)


def alone(videos: Path, decode: Callable[[Path, tuple[int, int], int], None]) -> None:
    """Decode every video, one for each core at a time; `decode` is told a size and a number of threads, 0 for any."""
    from curate.media.decode import scaled_size

    paths = sorted(videos.glob("*.mp4"))
    began = time.perf_counter()
    pids = []
    cores = min(os.cpu_count() or 1, len(paths))
    for core in range(cores):
        pid = os.fork()
        if pid == 0:
            for path in paths[core::cores]:
                with av.open(str(path)) as container:
                    stream = container.streams.video[0]
                    size_wh = scaled_size(stream.width, stream.height, IMGSZ)
                decode(path, size_wh, 0 if cores == 1 else 1)
            os._exit(0)
        pids.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        raise RuntimeError("decoding failed")
    print(time.perf_counter() - began)


def curate(videos: Path, folder: Path, every_s: float) -> None:
    from curate.pipeline.index import index
    from curate.types import Sampling
    from curate.workspace import Workspace

    began = time.perf_counter()
    index(Workspace.create(folder / "space", imgsz=IMGSZ), [str(videos)], sampling=Sampling(every_s=every_s))
    print(time.perf_counter() - began)


def ffmpeg(videos: Path, folder: Path, every_s: float) -> None:
    paths = sorted(videos.glob("*.mp4"))
    cores = os.cpu_count() or 1
    threads = [] if len(paths) == 1 else ["-threads", "1"]
    scale = f"scale='min({IMGSZ},iw)':-2:flags=bilinear" if len(paths) == 1 else f"scale='min({IMGSZ},iw)':-2"

    def convert(path: Path) -> None:
        out = folder / path.stem
        out.mkdir()
        command = ["ffmpeg", "-v", "error", *threads, "-i", str(path), "-vf", f"fps={1 / every_s},{scale}"]
        subprocess.run([*command, "-q:v", "3", str(out / "%08d.jpg")], check=True)

    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(convert, paths))
    print(time.perf_counter() - began)


def fiftyone(videos: Path, folder: Path, every_s: float) -> None:
    from browse.mongod import running_mongod, use_database

    with running_mongod() as uri:
        use_database(uri)
        import fiftyone as fo

        dataset = fo.Dataset.from_dir(str(videos), dataset_type=fo.types.VideoDirectory, progress=False)
        began = time.perf_counter()
        dataset.to_frames(
            sample_frames=True,
            fps=1 / every_s,
            max_size=(IMGSZ, IMGSZ),
            frames_patt="%08d.jpg",
            output_dir=str(folder / "frames"),
            progress=False,
        )
        seconds = time.perf_counter() - began
    print(seconds)


def print_memory(videos: Path, every_s: float) -> None:
    """Peak of the proportional set size of curate's processes together, sampled ten times a second."""
    import psutil

    folder = videos.with_name("curate")
    folder.mkdir()
    process = psutil.Popen(command("curate", videos, folder, every_s), stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"building the pool failed with exit status {process.returncode}")
    print(f"an hour of 1080p, 90,000 frames: {peak / 2**30:.2f} GiB at the peak in all processes")


if __name__ == "__main__":
    main()
