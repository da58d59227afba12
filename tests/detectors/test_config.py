import json
import subprocess
import sys
from dataclasses import replace

import pytest

from detectors.config import MidlConfig, TrainConfig
from detectors.midl import Stage, lr_factor, stage_spans
from detectors.presets import PRESETS, preset_values
from detectors.registry import backbone_names, build_detector, detector_names


def test_names_come_without_torch() -> None:
    code = "import sys, detectors.registry, detectors.config as c; c.TrainConfig(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps must be above zero, got 0"),
        ({"lr": -1.0}, "lr must be above zero"),
        ({"lambda_": float("nan")}, "lambda_"),
        ({"detector": "yolo"}, "choices are retinanet"),
        ({"backbone": "no_such_net"}, "unknown backbone 'no_such_net'; choices are efficientnet_lite0, "),
        ({"backbone": "vgg16", "detector": "ssd300"}, "has no 'embedded' weights; choices are imagenet, none"),
        ({"backbone": "resnet50"}, "has no 'embedded' weights; choices are imagenet, none"),
        ({"precision": "half"}, "precision must be one of auto"),
        ({"steps": 10, "warmup_steps": 11}, "at most steps"),
        ({"batch_size": 3, "devices": 2}, "multiple of devices"),
        ({"stages": ()}, "at least one pair"),
        ({"stages": (("maximise", 1),)}, "a stage must be one of labeled, maximize, minimize"),
        ({"stages": (("labeled", 0),)}, "share of stage labeled must be above zero"),
        ({"lr_drop": 1.5}, "lr_drop must be above 0"),
        ({"crops": True, "augment": False}, "crops are augmentation"),
        ({"epochs": 0}, "epochs must be above zero"),
        (
            {"lr_factors": {"heads": 0.1}},
            "a role of lr_factors must be one of features, classifiers, regressor, mil",
        ),
        ({"lr_factors": {"mil": 0}}, "learning rate of mil must be above zero"),
        ({"ema_decay": 1.0}, "ema_decay must be between 0 and 1"),
        (
            {"method": "plain", "midl": MidlConfig(objectness="uniform")},
            "'plain' .*: leave out midl, or take method 'midl'",
        ),
        ({"method": "plain", "lambda_": 5.0, "stages": (("maximize", 1.0),)}, "leave out lambda_, stages, or"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig(**values)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_midl_switches_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 0"):
        MidlConfig(delta_fg=0.5)
    with pytest.raises(ValueError, match="discrepancy_cap must be above zero, got 0"):
        MidlConfig(discrepancy_cap=0)
    with pytest.raises(ValueError, match=r"pseudo_label_score must be above 0 and below 1, got 1\.5"):
        MidlConfig(pseudo_label_score=1.5)
    with pytest.raises(ValueError, match="objectness_instances must be above zero, got 0"):
        MidlConfig(objectness_instances=0)
    with pytest.raises(ValueError, match="image_class_exponent must be zero or more, got -1"):
        MidlConfig(image_class_exponent=-1)
    with pytest.raises(ValueError, match="joint, mean, max"):
        MidlConfig(image_score="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="softmax, sigmoid, uniform"):
        MidlConfig(class_probability="learned")  # type: ignore[arg-type]


def test_the_classes_of_the_image_weigh_where_they_help() -> None:
    exponents = {
        name: TrainConfig(detector=name).scoring_midl.image_class_exponent
        for name in ("retinanet", "ssd300", "mask-rcnn")
    }
    assert exponents == {"retinanet": 0.15, "ssd300": 0, "mask-rcnn": 0}
    chosen = TrainConfig(detector="ssd300", midl=MidlConfig(image_class_exponent=0.3))
    assert chosen.scoring_midl.image_class_exponent == 0.3


def test_config_round_trip_and_unknown_keys() -> None:
    config = TrainConfig(steps=7, warmup_steps=2, lr_factors={"mil": 0.1}, midl=MidlConfig(tie_objectness=False))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    # A detector's own config.json asks for the very training that it tells of: the text decides what is known again.
    for default in (TrainConfig(), TrainConfig.from_dict(PRESETS["paper-ssd300"])):
        written = json.dumps(default.to_dict())
        assert json.dumps(TrainConfig.from_dict(json.loads(written)).to_dict()) == written
    with pytest.raises(ValueError, match="unknown TrainConfig keys stepz"):
        TrainConfig.from_dict({"stepz": 1})
    with pytest.raises(ValueError, match="unknown MidlConfig keys tied; known are class_probability, "):
        TrainConfig.from_dict({"midl": {"tied": True}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": "many"}, r"steps: .* integer.*, got 'many'"),
        ({"clip_norm": None}, "clip_norm: .* number, got None"),
        ({"stages": [1, 2]}, r"stages\.0: .*, got 1"),
        ({"midl": 3}, "midl: .*, got 3"),
        ({"midl": {"mil_weight": "much"}}, r"midl\.mil_weight: .* number.*, got 'much'"),
        ({"lr_factors": {"heads": 0.1}}, r"lr_factors\.heads.*'features', 'classifiers', 'regressor' or 'mil', got"),
        ({"steps": "500"}, "steps: .* integer.*, got '500'"),
        ({"steps": 500.0}, "steps: .* integer.*, got 500"),
        ({"seed": True}, "seed: .* integer.*, got True"),
        ({"augment": "no"}, "augment: .* boolean.*, got 'no'"),
        ({"lr": "1e-3"}, "lr: .* number.*, got '1e-3'"),
        ({"midl": {"objectness_instances": 2.5}}, r"midl\.objectness_instances: .* integer.*, got 2\.5"),
        # What the dataclasses refuse themselves is said in their words.
        ({"steps": -5}, "^steps must be above zero, got -5$"),
        ({"midl": {"delta_fg": 1}}, "^delta_fg is a logit threshold and must be at most 0"),
    ],
)
def test_values_of_another_type_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig.from_dict(values)
    assert "\n" not in str(caught.value)


def test_json_has_no_tuples_and_writes_floats_as_whole_numbers() -> None:
    values = {"lr": 1, "epochs": None, "stages": [["labeled", 6], ["maximize", 2.5]], "midl": {"delta_fg": -1}}
    config = TrainConfig.from_dict(values)
    assert (config.lr, type(config.lr), config.stages) == (1.0, float, (("labeled", 6.0), ("maximize", 2.5)))
    assert (config.epochs, config.midl.delta_fg) == (None, -1.0)


@pytest.mark.parametrize(
    "name", ["steps", "batch_size", "image_size", "warmup_steps", "seed", "devices", "checkpoint_every"]
)
@pytest.mark.parametrize("value", [0.5, 2.0, True, "2"])
def test_counts_are_whole_numbers(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a whole number, got {value!r}$"):
        TrainConfig(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^objectness_instances must be a whole number, got {value!r}$"):
        MidlConfig(objectness_instances=value)  # type: ignore[arg-type]


def test_unknown_names_list_the_choices() -> None:
    assert {"retinanet", "mask-rcnn", "ssd300"} <= set(detector_names())
    with pytest.raises(ValueError, match="retinanet"):
        build_detector("yolo", num_classes=2, backbone="efficientnet_lite0", weights="none")
    with pytest.raises(ValueError, match=backbone_names()[0]):
        build_detector("retinanet", num_classes=2, backbone="no_such_net", weights="none")


@pytest.mark.parametrize("steps", [1, 5, 26, 2000, 2001])
def test_stages_cover_every_step_once(steps: int) -> None:
    spans = stage_spans(steps)
    assert [s for span in spans for s in range(span.start, span.stop)] == list(range(steps))


def test_stage_shares_are_the_papers() -> None:
    wanted = [("labeled", 6), ("maximize", 2), ("minimize", 2)] * 2 + [("labeled", 6)]
    assert [(span.stage, span.stop - span.start) for span in stage_spans(26)] == wanted
    assert stage_spans(26)[1].stage is Stage.MAXIMIZE


def test_learning_rate_warms_up_and_drops_after_twenty_of_26() -> None:
    factors = [lr_factor(step, steps=26, warmup_steps=2, drop=20 / 26) for step in range(26)]
    assert factors == [0.5, *[1.0] * 19, *[0.1] * 6]


def test_presets_are_configs() -> None:
    paper, short = (TrainConfig.from_dict(PRESETS[name]) for name in ("paper", "short"))
    assert (paper.optimizer, paper.learning_rate, paper.decay, paper.lambda_) == ("sgd", 1e-3, 1e-4, 10)
    assert (paper.lr_drop, TrainConfig.from_dict(PRESETS["paper-ssd300"]).lr_drop) == (20 / 26, 0.8)
    assert paper.midl == MidlConfig(
        tie_objectness=False,
        background_gradient=True,
        objectness_from_boxes=False,
        mil_moves_features=True,
        mil_weight=1,
        labeled_trains_all=False,
        discrepancy_cap=None,
        given_object=False,
        image_class_exponent=0,
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(short.to_dict()))) == short
    assert [span.stage.value for span in stage_spans(short.steps, short.stages)] == [
        "labeled",
        "maximize",
        "minimize",
        "labeled",
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_plain_training_takes_every_preset_without_what_midl_alone_reads(name: str) -> None:
    plain = TrainConfig.from_dict({**preset_values(name, method="plain"), "method": "plain"})
    midl = TrainConfig.from_dict(preset_values(name, method="midl"))
    assert midl == TrainConfig.from_dict(PRESETS[name])
    default = TrainConfig()
    assert plain == replace(midl, method="plain", midl=default.midl, lambda_=default.lambda_, stages=default.stages)


def test_lambda_is_the_detectors_unless_it_is_given() -> None:
    weights = [TrainConfig(detector=name).discrepancy_weight for name in ("retinanet", "ssd300", "mask-rcnn")]
    assert weights == [1, 10, 1]
    assert TrainConfig(detector="ssd300", lambda_=0).discrepancy_weight == 0


def test_epochs_are_those_of_the_labeled_set() -> None:
    paper = TrainConfig.from_dict(PRESETS["paper"]).for_labeled(9)  # 5 batches of 2
    assert paper.steps == 26 * 5
    assert [span.stop for span in stage_spans(paper.steps, paper.stages)] == [30, 40, 50, 80, 90, 100, 130]
    assert TrainConfig(steps=7, warmup_steps=0).for_labeled(9).steps == 7
