"""Pixels and time: find sources, probe them, decode them, sample candidate frames, fill the frame cache."""
