"""Score and selection tables as a FiftyOne dataset, and the FiftyOne App on it."""
