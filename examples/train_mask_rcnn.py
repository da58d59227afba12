"""Train torchvision's own Mask R-CNN on a folder that `curate export --task instance-segmentation` wrote.

    python examples/train_mask_rcnn.py curate-workspace/exports/instance-segmentation --steps 300

The data set is torchvision's CocoDetection, the backbone the embedded EfficientNet-Lite0; prints box and mask AP.
"""

import argparse
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import faster_coco_eval
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.detection import MeanAveragePrecision
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.transforms import v2

from detectors.backbones import PyramidBackbone, build_trunk

# torchvision asks for pycocotools, which this package stands in for.
faster_coco_eval.init_as_pycocotools()


class Subset(CocoDetection):
    """One split. Crowds are no objects to learn."""

    def _load_target(self, id: int) -> list[dict[str, Any]]:
        return [annotation for annotation in super()._load_target(id) if not annotation["iscrowd"]]


class Levels(nn.Module):
    """A pyramid of features under the names that torchvision's Mask R-CNN expects."""

    def __init__(self, pyramid: PyramidBackbone) -> None:
        super().__init__()
        self.pyramid, self.out_channels = pyramid, pyramid.out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict((str(n), level) for n, level in enumerate(self.pyramid(images)))


def load(folder: Path, split: str, *, flip: bool = False) -> torch.utils.data.Dataset:
    steps = [v2.ToImage(), *([v2.RandomHorizontalFlip()] if flip else []), v2.ToDtype(torch.float32, scale=True)]
    annotations = folder / "annotations" / f"instances_{split}.json"
    dataset = Subset(folder / "images" / split, annotations, transforms=v2.Compose(steps))
    return wrap_dataset_for_transforms_v2(dataset, target_keys=("boxes", "labels", "masks"))


def collate(samples: list[tuple[Tensor, dict[str, Any]]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """torchvision's wrapper says nothing of an image without objects; the model wants empty tensors."""
    return [image for image, _ in samples], [_whole(image, target) for image, target in samples]


def _whole(image: Tensor, target: dict[str, Any]) -> dict[str, Tensor]:
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, *image.shape[1:], dtype=torch.uint8),
    }
    return {key: torch.as_tensor(target.get(key, value)) for key, value in empty.items()}


def build(classes: int) -> MaskRCNN:
    trunk = build_trunk("efficientnet_lite0", "embedded")
    return MaskRCNN(
        Levels(PyramidBackbone(trunk, 64)),
        num_classes=classes + 1,
        min_size=320,
        max_size=512,
        image_mean=list(trunk.mean),
        image_std=list(trunk.std),
        rpn_anchor_generator=AnchorGenerator(tuple((size,) for size in (16, 32, 64, 128, 256)), ((0.5, 1.0, 2.0),) * 5),
        rpn_post_nms_top_n_train=500,
        rpn_post_nms_top_n_test=300,
        box_batch_size_per_image=128,
    )


def train(model: MaskRCNN, dataset: torch.utils.data.Dataset, *, steps: int, batch_size: int, rate: float) -> None:
    batches = DataLoader(dataset, batch_size, shuffle=True, collate_fn=collate, drop_last=len(dataset) > batch_size)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # a small batch says little of mean and variance
    begin, step = time.perf_counter(), 0
    while step < steps:
        for images, targets in batches:
            losses = model(images, targets)
            loss = sum(losses.values())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 10.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 25 == 0 or step == steps:
                shown = "  ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
                print(f"{step}/{steps} ({time.perf_counter() - begin:.0f} s)  {shown}", flush=True)
            if step == steps:
                break


@torch.inference_mode()
def evaluate(model: MaskRCNN, dataset: torch.utils.data.Dataset) -> dict[str, Tensor]:
    metric = MeanAveragePrecision(iou_type=("bbox", "segm"), backend="faster_coco_eval")
    metric.warn_on_many_detections = False
    model.eval()
    for images, targets in DataLoader(dataset, 1, collate_fn=collate):
        found = [{**one, "masks": one["masks"][:, 0] >= 0.5} for one in model(images)]
        metric.update(found, [{**target, "masks": target["masks"].bool()} for target in targets])
    return metric.compute()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--evaluate", default="val", help="the split to measure on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    training = load(arguments.folder, "train", flip=True)
    model = build(classes=len(training.coco.cats))
    train(model, training, steps=arguments.steps, batch_size=arguments.batch_size, rate=arguments.learning_rate)
    values = evaluate(model, load(arguments.folder, arguments.evaluate))
    scores = ", ".join(f"{name} {values[key].item():.3f}" for name, key in AP.items())
    print(f"{arguments.evaluate} after {arguments.steps} steps: {scores}")


AP = {"box AP": "bbox_map", "box AP50": "bbox_map_50", "mask AP": "segm_map", "mask AP50": "segm_map_50"}


if __name__ == "__main__":
    main()
