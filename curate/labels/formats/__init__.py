"""One file a format in which labels come back: how its files are found in a return, and how they are read."""
