"""Settings that every test shares."""

import os

# torchvision's Python roi_align is compiled otherwise, for 40 s.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# As the command line does: tests must not crawl beside another program.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
