"""Check a COCO file before a receiver does: one function a rule, each with what it means to which receiver."""
