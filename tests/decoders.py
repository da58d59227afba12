"""The decoding processes of a test, and no other child of it."""

import psutil


def fork_servers() -> list[psutil.Process]:
    """The processes that the others are forked from."""
    return [child for child in _living(psutil.Process()) if "curate.media.child" in " ".join(child.cmdline())]


def decoders() -> list[psutil.Process]:
    return [child for server in fork_servers() for child in _living(server)]


def _living(parent: psutil.Process) -> list[psutil.Process]:
    return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]
