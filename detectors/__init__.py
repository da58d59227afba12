"""Object detectors with MIDL heads: training, inference and evaluation on image folders with COCO labels.

The package stands alone: torch, torchvision, timm, torchmetrics and lightning-fabric are all it needs. Importing
`detectors`, `detectors.config` or `detectors.registry` loads none of them.
"""

__version__ = "0.1.0"
