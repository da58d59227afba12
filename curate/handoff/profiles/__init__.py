"""Receiver profiles: each module of this folder writes one kind of export, named after its file."""
