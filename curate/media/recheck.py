"""Exported pictures against their originals, decoded once more in child processes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from curate.media.children import Children, cores, default_workers
from curate.media.recheck_one import RecheckOne, second_decoder
from curate.media.redecode import Checked


def recheck(
    requests: Sequence[RecheckOne], *, workers: int | None = None, stall_timeout_s: float = 60
) -> Iterator[tuple[RecheckOne, list[Checked]]]:
    """Carry out requests in child processes, sources in parallel; yields each with its frames as it completes.

    A source whose process is lost is tried once more without a second decoder. One that cannot be read, or is not
    what was exported, has all its frames "unreadable".
    """
    if not requests:
        return
    workers = workers or default_workers(len(requests))
    threads = max(1, cores() // workers)
    with Children[RecheckOne](workers, stall_timeout_s) as children:
        for request in requests:
            children.submit(replace(request, threads=threads))
        for event in children.events():
            request = event.request
            if event.kind == "result":
                yield request, event.value
            elif event.kind == "lost" and request.source.kind == "video" and not request.refused:
                second = second_decoder(request.source.backend)
                children.submit(replace(request, refused=f"{second} was tried, and {event.value}"))
            elif event.kind != "report":
                yield (
                    request,
                    [Checked(frame.frame_index, "unreadable", reason=event.value) for frame in request.frames],
                )
