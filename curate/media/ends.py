"""Whether a file is as long as its container says: a copy, download or recording that was interrupted is not."""

from pathlib import Path
from typing import BinaryIO

_TS_PACKET_BYTES = (188, 192, 204)
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
# What live recorders write where they do not know the size.
_NO_RIFF_SIZE = (0, 0xFFFFFFFF)


def cut_short(path: Path) -> str:
    """Empty, or how the file ends early by the sizes in it: MP4 boxes, Matroska's segment, RIFF, TS packets.

    Other containers state no sizes. A file that was cut exactly between two parts is not noticed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx"):
            end = _mp4_end(file, size)
        elif int.from_bytes(head[:4]) == _EBML:
            end = _matroska_end(file)
        elif head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") not in _NO_RIFF_SIZE:
            end = 8 + int.from_bytes(head[4:8], "little")
        else:
            return "it ends within a transport packet" if _ends_in_ts_packet(file, size) else ""
    return f"it ends after {size} bytes, its container announces {end}" if end > size else ""


def _mp4_end(file: BinaryIO, size: int) -> int:
    """Where the last box at the top level ends."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4])
        if length == 1:
            length = int.from_bytes(header[8:16])
        # 0 is "up to the end of the file"; what is no box is something that was appended.
        if length < 8 or not header[4:8].isalnum():
            break
        at += length
    return at


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment ends; 0 where its size is not known, as in a live recording."""
    at = 0
    while True:
        file.seek(at)
        element, id_bytes = _variable_int(file, keep_marker=True)
        length, length_bytes = _variable_int(file, keep_marker=False)
        if not id_bytes or not length_bytes or length == (1 << 7 * length_bytes) - 1:
            return 0
        at += id_bytes + length_bytes + length
        if element == _SEGMENT:
            return at


def _variable_int(file: BinaryIO, *, keep_marker: bool) -> tuple[int, int]:
    """An integer of EBML and how many bytes it takes, (0, 0) where there is none."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, 0
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    if len(rest) < more:
        return 0, 0
    lead = first[0] if keep_marker else first[0] & ((1 << (7 - more)) - 1)
    return int.from_bytes(bytes([lead]) + rest), more + 1


def _ends_in_ts_packet(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    head = file.read(5 * max(_TS_PACKET_BYTES))
    for length in _TS_PACKET_BYTES:
        # In the 192 bytes of a camera's or disc's packet, a time code of 4 bytes comes first.
        marks = head[4 if length == 192 else 0 :: length]
        if len(marks) > 3 and marks.strip(b"G") == b"":
            return size % length > 0
    return False
