"""What goes to a labelling vendor: the selection as lists and COCO, one receiver profile a file."""
