"""README.txt: what the labelling vendor must know, in plain words."""

from curate.handoff.types import Handoff

_TEXT = """\
Frames to label: {count} images of {sources} videos or pictures (run {run_id})

What to label
  A tight box around every object of these classes, in every image:
{classes}
  An image without any such object is a result too: return it without annotations.

What is here
  {images}
  selection.txt  their file names, the most useful first: label from the top
  manifest.json  where they come from
  SHA256SUMS     to check the delivery: sha256sum -c SHA256SUMS

How to import
{how_to_import}

What to return
  A COCO JSON file (or a folder of YOLO or Pascal VOC files) with the images' file names and the class names as
  they are here. COCO's boxes are [x, y, width, height] in pixels of the image, from its top left corner. Please
  do not rename, crop, turn or resize the images: labels are matched to them by file name.
"""


def readme(handoff: Handoff, *, images: str | None, how_to_import: str) -> str:
    """The text for the vendor. `images` is the folder of the images, None where they come another way;
    `how_to_import` is the profile's own part.
    """
    there = f"{images}/  the images, upright, at full size" if images else "(the images themselves come another way)"
    return _TEXT.format(
        count=len(handoff.images),
        sources=len({image.source.source for image in handoff.images}),
        run_id=handoff.run_id,
        classes="\n".join(f"    - {name}" for name in handoff.categories),
        images=there,
        how_to_import="\n".join(f"  {line}" for line in how_to_import.splitlines()),
    )
