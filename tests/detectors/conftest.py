"""Synthetic images and tiny runs; nothing is downloaded."""

import os
import sys

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# The folder has the name of the package under test, so that its helpers can only be imported as plain modules.
sys.path.insert(0, os.path.dirname(__file__))

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import write_images

from detectors.data import LabeledImage


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """Seed torch, and give its generator back as it was."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.random.set_rng_state(state)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabeledImage]:
    """Eight images of 96 x 64 pixels with squares of two classes."""
    return write_images(tmp_path_factory.mktemp("images"), 8, size_wh=(96, 64), rng=np.random.default_rng(5))


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight more images, without their labels."""
    made = write_images(tmp_path_factory.mktemp("pool"), 8, size_wh=(96, 64), rng=np.random.default_rng(6))
    return [image.path for image in made]
