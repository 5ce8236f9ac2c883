"""Whether a JPEG stream hangs together: asked before a decoder that would end the process on one that does not."""

from dataclasses import dataclass

_SOI, _EOI, _SOS, _DHT = 0xD8, 0xD9, 0xDA, 0xC4
# Start of frame: every C0..CF but the tables (DHT), the reserved C8 and the arithmetic conditioning (CC).
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD8)}
_LARGEST_PRECISION = 16


@dataclass(frozen=True)
class JpegShape:
    """What the DICOM header says about a frame.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        samples: Values per pixel.
        bits_allocated: Bits per value once decoded.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int


def jpeg_problem(stream: bytes, shape: JpegShape) -> str | None:
    """What is wrong with the segments of a JPEG stream before its first scan (ITU T.81, annex B).

    GDCM ends the process on a frame header with an impossible precision and on a scan without its tables, so such
    streams must never get to it.

    Args:
        stream: One frame, from its start of image on.
        shape: What it must decode to.

    Returns:
        What is wrong, in words for a refusal; None where nothing is, as far as headers tell. An empty stream has no
        start of image.
    """
    if stream[:2] != bytes((0xFF, _SOI)):
        return "no start of image"
    frame: bytes | None = None
    tables: set[int] = set()
    for marker, body in _segments(stream):
        if marker == _DHT:
            tables |= _tables(body)
        elif marker in _FRAMES:
            if frame is not None:
                return "two frame headers"
            frame = body
        elif marker == _SOS:
            return _frame_problem(frame, shape) or _scan_problem(frame or b"", body, tables)
    return "no scan"


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) up to the first scan or the first thing that is no segment."""
    found, at = [], 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        body = stream[at + 4 : at + 2 + length]
        if marker == _EOI or len(body) != length - 2:
            break
        found.append((marker, body))
        if marker == _SOS:
            break
        at += 2 + length
    return found


def _tables(body: bytes) -> set[int]:
    """Numbers of the direct-current (and lossless) Huffman tables of a segment; the others do not matter here."""
    found, at = set(), 0
    while at + 17 <= len(body):
        if body[at] >> 4 == 0:
            found.add(body[at] & 15)
        at += 17 + sum(body[at + 1 : at + 17])
    return found if at == len(body) else set()


def _frame_problem(frame: bytes | None, shape: JpegShape) -> str | None:
    if frame is None or len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        return "no whole frame header"
    precision, rows, columns, samples = (
        frame[0],
        int.from_bytes(frame[1:3], "big"),
        int.from_bytes(frame[3:5], "big"),
        frame[5],
    )
    if not 2 <= precision <= min(_LARGEST_PRECISION, shape.bits_allocated):
        return f"{precision} bits per value for {shape.bits_allocated} allocated"
    if (rows, columns, samples) != (shape.rows, shape.columns, shape.samples):
        return f"{columns} x {rows} x {samples} values for {shape.columns} x {shape.rows} x {shape.samples}"
    return None


def _scan_problem(frame: bytes, scan: bytes, tables: set[int]) -> str | None:
    count = scan[0] if scan else 0
    if not 1 <= count <= 4 or len(scan) != 4 + 2 * count:
        return "no whole scan header"
    known = set(frame[6::3])
    for component, table in zip(scan[1 : 1 + 2 * count : 2], scan[2 : 2 + 2 * count : 2], strict=True):
        if component not in known or table >> 4 not in tables:
            return "a scan without its component or table"
    return None
