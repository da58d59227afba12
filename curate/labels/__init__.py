"""Label files in and out of tables: COCO and CocoVID to labels.parquet."""
