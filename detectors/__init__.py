"""Object detectors with MIDL heads: training, inference and evaluation on image folders with COCO labels.

The package stands alone: torch, torchvision, timm, lightning-fabric, torchmetrics, faster-coco-eval, safetensors,
pydantic, threadpoolctl, numpy and pillow are all it imports. The `embedded` weights are packages of their own, see
`detectors.backbones`. Importing `detectors`, `detectors.config` or `detectors.registry` loads none of them.
"""

__version__ = "0.1.0"
