"""The decoding processes of a test, and no other child of it."""

import psutil


def decoders() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        if child.status() != psutil.STATUS_ZOMBIE and "curate.media.child" in " ".join(child.cmdline()):
            found.append(child)
    return found
