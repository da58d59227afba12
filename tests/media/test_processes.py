"""A decoder that crashes or hangs costs one file; no process outlives the run; memory is bounded."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from decoders import decoders, fork_servers
from videos import write_numbered_video

from curate.errors import CurateError
from curate.media import fork_server
from curate.media.children import Children, Event
from curate.media.extract import Decoders, Extracted, ExtractJob, extract
from curate.types import Sampling

ALL = Sampling(stride=1)


def run_and_send(jobs: list[ExtractJob], frames_dir: Path, signals: list[int]) -> list[Extracted]:
    """Extract in one process; the n-th time that it begins to report frames, send it the n-th signal."""
    seen: set[int] = set()

    def strike(count: int) -> None:
        for child in decoders():
            if count > 0 and child.pid not in seen and len(seen) < len(signals):
                child.send_signal(signals[len(seen)])
                seen.add(child.pid)

    done = extract(
        jobs, frames_dir=frames_dir, imgsz=640, children=Decoders(workers=1, stall_timeout_s=2), on_frames=strike
    )
    return list(done)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_numbered_video(folder / f"{name}.mp4", frames=800) for name in ("struck", "other")]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_a_lost_process_costs_a_second_try_with_pyav(clips: list[Path], tmp_path: Path, sent: int) -> None:
    done = run_and_send([ExtractJob(path, ALL) for path in clips], tmp_path, [sent])
    assert {Path(result.source.path).name: result.source.backend for result in done} == {
        "struck.mp4": "pyav",
        "other.mp4": "decord",
    }
    for result in done:
        assert (result.reason, len(result.frames), result.source.frames) == ("", 800, 800)
    assert fork_servers() == []


@pytest.mark.parametrize(
    ("sent", "reason"), [(signal.SIGKILL, "killed by signal 9"), (signal.SIGSTOP, "no progress for 2 s")]
)
def test_lost_twice_the_file_is_given_up_and_its_frames_kept(
    clips: list[Path], tmp_path: Path, sent: int, reason: str
) -> None:
    struck = run_and_send([ExtractJob(clips[0], ALL)], tmp_path, [sent, sent])[0]
    assert reason in struck.reason
    assert (struck.source.status, struck.source.samplings) == ("broken", "")
    assert 0 < len(struck.frames) < 800
    assert [frame.frame_index for frame in struck.frames] == list(range(struck.source.frames))
    # The next run finishes it, with the result of a run that was not struck.
    (again,) = extract([ExtractJob(clips[0], ALL, known=struck.source)], frames_dir=tmp_path, imgsz=640)
    (fresh,) = extract([ExtractJob(clips[0], ALL)], frames_dir=tmp_path / "fresh", imgsz=640)
    assert (again.source, again.frames) == (fresh.source, fresh.frames)


@dataclass(frozen=True)
class Stub:
    """A request that does as it is told."""

    what: str

    def run(self, report: Callable[[object], None]) -> object:
        report(None)
        if self.what == "sleep":
            time.sleep(3600)
        if self.what == "hold":
            report("holding")
            time.sleep(3600)
        if self.what == "exit":
            os._exit(7)
        if self.what == "bug":
            raise KeyError("lost")
        if self.what == "refuse":
            raise CurateError("the disk is full")
        report("on the way")
        return os.getpid()


def test_each_end_of_a_request_is_told() -> None:
    with Children[Stub](2, stall_timeout_s=2) as children:
        for what in ("sleep", "exit", "bug", "refuse", "work"):
            children.submit(Stub(what))
        events = list(children.events())
    told = {(event.request.what, event.kind): event.value for event in events}
    assert isinstance(told.pop(("work", "result")), int)
    assert told == {
        ("sleep", "lost"): "the decoder made no progress for 2 s",
        ("exit", "lost"): "the decoder process ended with exit status 7",
        ("bug", "failed"): "KeyError: 'lost'",
        ("refuse", "refused"): "the disk is full",
        ("work", "report"): "on the way",
    }


def test_many_requests_share_few_processes() -> None:
    with Children[Stub](2, stall_timeout_s=30) as children:
        for _ in range(300):
            children.submit(Stub("work"))
        pids = {event.value for event in children.events() if event.kind == "result"}
    assert len(pids) <= 2
    assert os.getpid() not in pids
    assert fork_servers() == []


def strike_the_server(sent: int) -> list[tuple[str, str, object]]:
    """Two requests that hold, two that work; the server is sent a signal, and a process killed, while two hold."""
    told = []
    with Children[Stub](2, stall_timeout_s=30) as children:
        for what in ("hold", "hold", "work", "work"):
            children.submit(Stub(what))
        for event in children.events():
            told.append((event.request.what, event.kind, event.value))
            if told == 2 * [("hold", "report", "holding")]:
                (server,) = fork_servers()
                held = decoders()
                server.send_signal(sent)
                held[0].kill()
    assert fork_servers() == []
    return told


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_server_costs_what_was_running(sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "_PATIENCE_S", 0.5)
    told = strike_the_server(sent)
    lost = [value for what, kind, value in told if (what, kind) == ("hold", "lost")]
    assert lost == 2 * ["the decoder process was killed by signal 9"]
    assert [what for what, kind, _ in told if kind == "result"] == ["work", "work"]


def test_the_server_holds_what_decoders_need_and_starts_no_thread() -> None:
    with Decoders(workers=2) as children:
        children.start(2)
        (server,) = fork_servers()
        while len(decoders()) < 2:
            time.sleep(0.01)
        assert server.num_threads() == 1
        loaded = " ".join(mapped.path for mapped in server.memory_maps())
        assert "libavcodec" in loaded
        assert "_imaging" in loaded
        # It takes as long to import as the others together.
        assert "numpy" not in loaded
    assert fork_servers() == []


def fail() -> None:
    raise RuntimeError


def test_a_server_that_cannot_start_is_an_error() -> None:
    with Children[Stub](2, stall_timeout_s=30, warm_up=fail) as children:
        children.submit(Stub("work"))
        with pytest.raises(CurateError, match="ends as soon as it starts"):
            list(children.events())
    with Children[Stub](2, stall_timeout_s=30, warm_up=fail) as children:
        children.start(2)
        while fork_servers():
            time.sleep(0.01)
        children.submit(Stub("work"))
        with pytest.raises(CurateError, match="ends as soon as it starts"):
            list(children.events())


def test_a_slow_reader_is_not_a_stalled_decoder() -> None:
    events: list[Event[Stub]] = []
    with Children[Stub](1, stall_timeout_s=0.5) as children:
        children.submit(Stub("work"))
        children.submit(Stub("work"))
        for event in children.events():
            time.sleep(0.8)
            events.append(event)
    assert [event.kind for event in events] == ["report", "result", "report", "result"]


def test_leaving_early_leaves_no_process(clips: list[Path], tmp_path: Path) -> None:
    results = extract(
        [ExtractJob(path, ALL) for path in [*clips, *clips]],
        frames_dir=tmp_path,
        imgsz=640,
        children=Decoders(workers=2),
    )
    next(results)
    assert decoders() != []
    results.close()
    assert fork_servers() == []


PARENT = """
import os, signal, sys
from pathlib import Path
import psutil
from curate.media.extract import ExtractJob, extract
from curate.types import Sampling

# Where the tests run in the background of a shell, SIGINT is ignored from birth.
signal.signal(signal.SIGINT, signal.default_int_handler)

def strike(count):
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    os.kill(os.getpid(), signal.{signal})

job = ExtractJob(Path({path!r}), Sampling(stride=1))
list(extract([job], frames_dir=Path({frames!r}), imgsz=640, on_frames=strike))
"""


@pytest.mark.parametrize("sent", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_children_die_with_their_parent(clips: list[Path], tmp_path: Path, sent: str) -> None:
    script = PARENT.format(signal=sent, path=str(clips[0]), frames=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        assert time.monotonic() < deadline, "a decoder outlives its parent"
        time.sleep(0.05)


MEASURE = """
import resource
from pathlib import Path
import psutil
from curate.media.extract import ExtractJob, extract
from curate.types import Sampling

job = ExtractJob(Path({path!r}), Sampling(stride=1))
(done,) = extract([job], frames_dir=Path({frames!r}), imgsz=640)
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
parent = psutil.Process().memory_info().rss // 2**20
print(done.source.backend, len(done.frames), child, parent)
"""


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    # All 2,000 frames decoded at once are 1.4 GB; JPEG coding is slower than decoding these.
    path = write_numbered_video(tmp_path / "a.mp4", frames=2000, size=(640, 360), options={"preset": "ultrafast"})
    script = MEASURE.format(path=str(path), frames=str(tmp_path / "frames"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    backend, frames, child_mb, parent_mb = done.stdout.split()
    assert (backend, frames) == ("decord", "2000")
    assert int(child_mb) < 450
    assert int(parent_mb) < 80
