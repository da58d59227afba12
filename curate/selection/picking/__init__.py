"""Picking rules: from utilities to picks, within the rules of the selection.

A rule is called with (candidates, utilities, rules, rng) and returns its picks in any order; see `types.Picking`.
"""
