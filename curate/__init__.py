"""Choose the frames of your videos that are most worth labelling. Importing this loads no torch, decord or FiftyOne."""

__version__ = "0.1.0"
