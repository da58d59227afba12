"""Dense heads over a feature pyramid: adversarial classifier, box regressor and the MIL head's two branches.

Each takes a list of (B, channels, H, W) levels and gives one (B, N, K) tensor, N = sum over levels of H * W * A, in
the order (level, row, column, anchor) of torchvision's AnchorGenerator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Focal loss prior: every anchor starts at a foreground probability of 1 %.
FOCAL_PRIOR_BIAS = -math.log((1 - 0.01) / 0.01)
_NORM_GROUP_CHANNELS = 8


def conv_norm_relu(
    channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """A convolution with group norm and ReLU. padding: None keeps the size at stride 1."""
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(channels, out_channels, kernel, stride=stride, padding=padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    norm = nn.GroupNorm(max(1, out_channels // _NORM_GROUP_CHANNELS), out_channels)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True))


def conv_tower(channels: int, depth: int) -> nn.Sequential:
    """`depth` 3x3 convolutions with group norm and ReLU. The paper's towers have no norm; the two were not compared."""
    return nn.Sequential(*(layer for _ in range(depth) for layer in conv_norm_relu(channels, channels)))


def instance_rows(x: Tensor, columns: int) -> Tensor:
    """Flatten one level's prediction map to one row an anchor. x: (B, A * columns, H, W)."""
    batch, _, height, width = x.shape
    x = x.view(batch, -1, columns, height, width).permute(0, 3, 4, 1, 2)  # (B, H, W, A, columns)
    return x.reshape(batch, -1, columns)  # (B, H * W * A, columns)


class DenseHead(nn.Module):
    """A tower and one prediction convolution, shared by all levels."""

    def __init__(self, channels: int, *, depth: int, anchors: int, columns: int, bias: float = 0.0) -> None:
        super().__init__()
        self.columns = columns
        self.tower = conv_tower(channels, depth)
        self.predict = nn.Conv2d(channels, anchors * columns, 3, padding=1)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.constant_(self.predict.bias, bias)  # type: ignore[arg-type]

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Return (B, N, columns)."""
        return torch.cat([instance_rows(self.predict(self.tower(level)), self.columns) for level in levels], dim=1)


def init_mil_branches(classes: nn.Module, objectness: nn.Module, *, class_bias: float) -> None:
    """Start the two branches of a MIL head: small weights, biases 0 and, in the class branch, `class_bias`.

    With the focal prior (-4.6) there every instance would sit on the second line of Eq. 10, which passes no gradient,
    and none would ever learn.
    """
    for branch, bias in ((classes, class_bias), (objectness, 0.0)):
        for name, parameter in branch.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.constant_(parameter, bias)


class MilHead(nn.Module):
    """The MIL branch (paper Fig. 5): a shared tower, then class logits zc and objectness logits zo.

    The prediction layers are 1x1, so that the head stays light.
    """

    def __init__(self, channels: int, *, depth: int, anchors: int, num_classes: int, class_bias: float = 0.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.tower = conv_tower(channels, depth)
        self.classes = nn.Conv2d(channels, anchors * num_classes, 1)
        self.objectness = nn.Conv2d(channels, anchors * num_classes, 1)
        init_mil_branches(self.classes, self.objectness, class_bias=class_bias)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits and objectness logits, each (B, N, C)."""
        towers = [self.tower(level) for level in levels]
        zc = torch.cat([instance_rows(self.classes(x), self.num_classes) for x in towers], dim=1)
        zo = torch.cat([instance_rows(self.objectness(x), self.num_classes) for x in towers], dim=1)
        return zc, zo
