"""Which files decord can be trusted with, as far as their headers tell."""

# Where decord 0.6 was found to give the right frame for every index (the suite in tests/media repeats the proof).
CONTAINERS = ("mp4", "matroska", "webm")
CODECS = ("h264", "hevc", "vp8", "vp9")
# Other depths and layouts come out of decord with other levels than FFmpeg's.
PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
# decord takes the padding at the end of its rows, up to 63 pixels, for a channel where it is a third of the width.
MIN_WIDTH = 190


def distrust(container: str, codec: str, pixel_format: str, *, width: int, streams: int) -> str:
    """Empty, or why decord is not to read such a file. `width` is that of the upright picture, as it is to come out.

    `container` is FFmpeg's name, which lists relatives; `streams` counts the video streams.
    """
    names = container.split(",")
    if not any(name in CONTAINERS for name in names):
        return f"decord cannot be trusted with {names[0]} files"
    if codec not in CODECS:
        return f"decord cannot be trusted with {codec}"
    if pixel_format not in PIXEL_FORMATS:
        return f"decord cannot be trusted with {pixel_format} pixels"
    if width < MIN_WIDTH:
        return f"decord garbles pictures under {MIN_WIDTH} px of width"
    if streams > 1:
        return f"{streams} video streams: the first is read"
    return ""
