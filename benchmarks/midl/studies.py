"""What is trained in each study: variants of `TrainConfig`, by name. A study is one factor at a time.

The studies follow the paper's tables: "accuracy" is plain training against MIDL (Fig. 6, Table 4), "table5" the module
ablation, "table6" lambda, "table6, no cap" the same as Eq. 2 is printed; "causes" changes what may keep MIDL below
plain, "sgd" the optimizer to the paper's.
"""

from collections.abc import Mapping
from typing import Any

from detectors.config import TrainConfig

Overrides = Mapping[str, Any]

_UNIFORM = {"class_probability": "uniform", "objectness": "uniform"}
_ONE_ROUND = [["labeled", 6], ["maximize", 2], ["minimize", 2], ["labeled", 6]]
# The default's share of each stage, in turns that are eight times as short (Saito et al. 2018 alternate by step).
_TURNS = [["maximize", 0.25], ["minimize", 0.25]] * 8
_ALTERNATING = [["labeled", 6], *_TURNS, ["labeled", 6], *_TURNS, ["labeled", 6]]
# Two maximize stages of half the length, two minimize stages of two and a half times.
_LONG_MINIMIZE = [
    *(["labeled", 5], ["maximize", 1], ["minimize", 5]),
    *(["labeled", 4], ["maximize", 1], ["minimize", 5]),
    ["labeled", 5],
]
_PRINTED = {
    "tie_objectness": False,
    "background_gradient": True,
    "objectness_from_boxes": False,
    "mil_moves_features": True,
    "labeled_trains_all": False,
    "discrepancy_cap": None,
    "mil_weight": 1.0,
}

STUDIES: Mapping[str, Mapping[str, Overrides]] = {
    "accuracy": {"plain": {"method": "plain"}, "midl": {}},
    "table5": {
        "plain": {"method": "plain"},
        # Row 2 has the discrepancy alone, row 5 adds the class probability, row 9 both: MIDL.
        "CPD": {"midl": {**_UNIFORM, "mil_weight": 0.0}},
        "CPD, CP": {"midl": {"objectness": "uniform"}},
        "midl": {},
        "MIL without CPD": {"lambda_": 0.0},
        "stages alone": {"lambda_": 0.0, "midl": {"mil_weight": 0.0}},
        "sigmoid": {"midl": {"class_probability": "sigmoid"}},
    },
    "table6": {f"lambda {value:g}": {"lambda_": value} for value in (0.1, 1.0, 5.0, 10.0, 20.0, 50.0)},
    "table6, no cap": {
        f"no cap, lambda {value:g}": {"lambda_": value, "midl": {"discrepancy_cap": None}}
        for value in (0.1, 1.0, 5.0, 10.0, 20.0, 50.0)
    },
    "causes": {
        "midl": {},
        "as printed": {"midl": _PRINTED},
        "focal prior": {"midl": {"class_bias": -4.6}},
        "MIL moves features": {"midl": {"mil_moves_features": True}},
        "no cap": {"midl": {"discrepancy_cap": None}},
        "no cap, fixed for the whole step": {"midl": {"discrepancy_cap": None, "labeled_trains_all": False}},
        "no MIL on unlabelled": {"midl": {"mil_on_unlabeled": False}},
        "one round": {"stages": _ONE_ROUND},
        "no cap, short turns": {"midl": {"discrepancy_cap": None}, "stages": _ALTERNATING},
        "long minimise": {"stages": _LONG_MINIMIZE},
        "minimise alone": {"stages": [["labeled", 6], ["minimize", 14], ["labeled", 6]]},
        "lambda 0.1": {"lambda_": 0.1},
        "lambda 5": {"lambda_": 5.0},
        "MIL head, a third of the rate": {"lr_factors": {"mil": 0.3}},
        "MIL head, three times the rate": {"lr_factors": {"mil": 3.0}},
        "classifiers, a third of the rate": {"lr_factors": {"classifiers": 0.3}},
        "pseudo labels from 0.3": {"midl": {"pseudo_label_score": 0.3}},
        "pseudo labels from 0.8": {"midl": {"pseudo_label_score": 0.8}},
        "softmax over 50 instances": {"midl": {"objectness_instances": 50}},
        "sigmoid": {"midl": {"class_probability": "sigmoid"}},
        "averaged weights": {"ema_decay": 0.999},
        "plain, averaged weights": {"method": "plain", "ema_decay": 0.999},
    },
    # The paper's optimizer learns less in as many steps: is its gain over plain training that of an unfinished one?
    "sgd": {
        "plain, SGD": {"method": "plain", "optimizer": "sgd"},
        "no cap, SGD": {"optimizer": "sgd", "midl": {"discrepancy_cap": None}},
        "as printed, SGD": {"optimizer": "sgd", "lambda_": 10.0, "midl": _PRINTED},
    },
}


def config_of(overrides: Overrides, **settings: Any) -> TrainConfig:
    """The configuration of a variant; errors as `TrainConfig.from_dict`."""
    return TrainConfig.from_dict({**settings, **overrides})
