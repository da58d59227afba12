"""Bags of unequal length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def pad_bags(bags: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad bags, such as the proposals of each image, to the length of the longest; gradients pass.

    bags: B tensors (n_i, K); n_i may be 0.

    Returns: (B, N, K) with N the largest n_i and zeros on the padding, and (B, N) bool, False on the padding: the
    `valid` of the other functions. Raises ValueError for an empty list, whose K is unknown, and for bags that are not
    (n, K) with one K.
    """
    if not bags:
        raise ValueError("bags must hold at least one bag, got none")
    shapes = [tuple(bag.shape) for bag in bags]
    if any(len(shape) != 2 or shape[1] != shapes[0][-1] for shape in shapes):
        raise ValueError(f"bags must be (n, K) with one K, got {', '.join(map(str, shapes))}")
    padded = pad_sequence(list(bags), batch_first=True)  # (B, N, K)
    sizes = torch.tensor([len(bag) for bag in bags], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < sizes[:, None]
