"""The errors a user can cause. The command line prints their message as one line; anything else is a bug."""


class CurateError(Exception):
    """A problem with the data or the machine: the message says what, the value, what is allowed and what to do."""

    exit_code = 1


class UsageError(CurateError):
    """A problem with what was typed: an option's value, a path that does not exist."""

    exit_code = 2


def cannot_write(path: object, error: OSError) -> CurateError:
    """What to say of a file or folder that cannot be written: the disk is full, or nobody may write there."""
    return CurateError(f"{path}: cannot be written ({error.strerror or error}); make room, or give a writable folder")
