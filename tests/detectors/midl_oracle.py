"""The equations of MIDL as nested loops over Python's float64: slow, and plain to read beside the paper.

Logits of a bag are a list of rows, one an instance; a row is a list of numbers, one a class.
"""

import math

Row = list[float]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def softmax(z: Row) -> Row:
    powers = [math.exp(v - max(z)) for v in z]
    return [p / sum(powers) for p in powers]


def class_scores(z: Row, activation: str) -> Row:
    return [sigmoid(v) for v in z] if activation == "sigmoid" else softmax(z)[1:]


def class_given_object(z: Row, activation: str) -> Row:
    """The class probabilities under the condition that one of the foreground classes is there."""
    return softmax(z) if activation == "sigmoid" else softmax(z[1:])


def instance_uncertainty(z1: list[Row], z2: list[Row], activation: str) -> list[Row]:
    """Eq. 5."""
    u = []
    for row1, row2 in zip(z1, z2, strict=True):
        first, second = class_scores(row1, activation), class_scores(row2, activation)
        u.append([(a - b) ** 2 for a, b in zip(first, second, strict=True)])
    return u


def class_disagreement(z1: list[Row], z2: list[Row], activation: str) -> Row:
    """The sum over all pairs of different classes of the probability that the classifiers name this pair."""
    u = []
    for row1, row2 in zip(z1, z2, strict=True):
        first, second = class_given_object(row1, activation), class_given_object(row2, activation)
        u.append(sum(a * b for c, a in enumerate(first) for d, b in enumerate(second) if c != d))
    return u


def class_probability(zc: list[Row], delta_fg: float) -> list[Row]:
    """Eq. 10."""
    p = []
    for z in zc:
        if max(z) > delta_fg:
            p.append(softmax(z))
        else:
            reverse = [1 - math.exp(v) for v in z]
            p.append([r / sum(reverse) for r in reverse])
    return p


def objectness_probability(zo: list[Row]) -> Row:
    """Eq. 11."""
    return softmax([max(row) for row in zo])


def class_weights(zc: list[Row], kind: str, delta_fg: float) -> list[Row]:
    if kind == "softmax":
        return class_probability(zc, delta_fg)
    return [[sigmoid(v) if kind == "sigmoid" else 1 / len(row) for v in row] for row in zc]


def objectness_weights(zo: list[Row], kind: str) -> Row:
    return objectness_probability(zo) if kind == "learned" else [1 / len(zo) for _ in zo]


def image_class_probability(p_cls: list[Row], p_obj: Row, classes: int) -> Row:
    """Eq. 8."""
    p = [0.0] * classes
    for i in range(len(p_obj)):
        for c in range(classes):
            p[c] += p_cls[i][c] * p_obj[i]
    return p


def image_uncertainty(u: list[Row], p_cls: list[Row], p_obj: Row) -> float:
    """Eq. 7."""
    total = 0.0
    for i in range(len(u)):
        for c in range(len(u[i])):
            total += u[i][c] * p_cls[i][c] * p_obj[i]
    return total


def mil_loss(p: Row, y: list[int]) -> float:
    """Eq. 9."""
    loss = 0.0
    for c in range(len(p)):
        loss -= y[c] * math.log(p[c]) + (1 - y[c]) * math.log(1 - p[c])
    return loss


def tied_objectness_logits(zo: list[Row], z1: list[Row], z2: list[Row], activation: str) -> list[Row]:
    tied = []
    for row, row1, row2 in zip(zo, z1, z2, strict=True):
        mean = [(a + b) / 2 for a, b in zip(row1, row2, strict=True)]
        if activation == "softmax":
            mean = [v - mean[0] for v in mean[1:]]
        tied.append([max(row) + max(mean)])
    return tied
