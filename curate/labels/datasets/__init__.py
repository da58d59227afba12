"""Published data sets as labels: each module of this folder reads the folders of one kind, named after its file."""
