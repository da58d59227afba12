"""The errors a user can cause. The command line prints their message as one line; anything else is a bug."""


class CurateError(Exception):
    """A problem with the data or the machine: the message says what, the value, what is allowed and what to do."""

    exit_code = 1


class UsageError(CurateError):
    """A problem with what was typed: an option's value, a path that does not exist."""

    exit_code = 2
