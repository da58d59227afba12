"""A detector, or a backbone alone, over frames: score tables in parts, one a shard."""
