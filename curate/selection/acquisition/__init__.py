"""Acquisition functions, one module each, named after its file.

Each has `utilities(candidates, *, rng) -> (N,) float64`: higher means label sooner, NaN means not a candidate; PICKING,
the rule that makes picks of them; and COLUMNS, the score columns that both read.
"""
