"""Settings that every test shares."""

import os

# torchvision's Python roi_align is compiled otherwise, for 40 s.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
