"""The six feature maps that SSD300 looks at: 38, 19, 10, 5, 3 and 1 cells a side (Liu et al. 2016, Fig. 2)."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG

from detectors.backbones import IMAGENET_MEAN, IMAGENET_STD, Trunk, build_trunk, vgg16_features
from detectors.midl.heads import conv_norm_relu

# Of the square that every image is resized to.
SIDE = 300
# Width of all levels over a trunk. VGG-16 has its own.
_WIDTH = 128


class VggLevels(nn.Module):
    """VGG-16 as in the paper: conv4_3 scaled to a learned L2 norm, fc6 and fc7 as convolutions, four extra blocks.

    mean, std: normalization of RGB in 0-1.
    """

    channels = (512, 1024, 512, 256, 256, 256)
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.extractor = SSDFeatureExtractorVGG(vgg16_features(weights), highres=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, 300, 300) to six levels (B, channels, cells, cells), finest first."""
        return list(self.extractor(images).values())


class TrunkLevels(nn.Module):
    """Any trunk with strides 8, 16 and 32, and three extra blocks in SSD's manner.

    SSD's heads are single convolutions. The levels of light trunks are narrow and linear (EfficientNet-Lite's
    bottlenecks end without activation), so each passes a convolution with group norm and ReLU first; this takes the
    place of the L2 norm of conv4_3 too.
    """

    channels = (_WIDTH,) * 6

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.mean, self.std = trunk.mean, trunk.std
        self.body = trunk.body
        self.lateral = nn.ModuleList(conv_norm_relu(channels, _WIDTH) for channels in trunk.channels)
        # 10 -> 5 -> 3 -> 1 cells, as conv9_2, conv10_2 and conv11_2.
        self.extra = nn.ModuleList(
            nn.Sequential(conv_norm_relu(_WIDTH, _WIDTH // 2, kernel=1), conv_norm_relu(_WIDTH // 2, _WIDTH, **shape))
            for shape in ({"stride": 2, "padding": 1}, {"padding": 0}, {"padding": 0})
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """See VggLevels."""
        levels = [layer(level) for layer, level in zip(self.lateral, self.body(images), strict=True)]
        for block in self.extra:
            levels.append(block(levels[-1]))
        return levels


def build_levels(backbone: str, weights: str) -> VggLevels | TrunkLevels:
    """Build the backbone of an SSD300 by name; errors as in `build_trunk`."""
    return (
        VggLevels(weights) if backbone == "vgg16" else TrunkLevels(build_trunk(backbone, weights, size_hw=(SIDE, SIDE)))
    )
