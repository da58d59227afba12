"""The receiver profiles that there are."""

from typing import cast

from curate.handoff.types import Profile
from curate.registry import Registry

PROFILES = Registry("curate.handoff.profiles", "receiver profile")


def load_profile(name: str) -> Profile:
    """The profile of that name; UsageError with the choices where there is none."""
    return cast(Profile, PROFILES.load(name))
