"""Decode PNG images to their pixels, with the standard library only.

Two files can show the same picture with other filters, another compression level, or a date or a
program's name in a text chunk. (PNG specification, third edition: https://www.w3.org/TR/png-3/.)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → samples per pixel
_SEEN = (b"IHDR", b"PLTE", b"tRNS")
_MOST = 1 << 30  # bytes of pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """What an image shows: four bytes (red, green, blue, alpha) per pixel, row by row."""

    width: int
    height: int
    rgba: bytes

    def differing(self, other: Picture) -> int:
        """Return how many pixels differ from those of `other`, which has the same size."""
        mine, theirs = memoryview(self.rgba).cast("I"), memoryview(other.rgba).cast("I")
        return sum(a != b for a, b in zip(mine, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Undecoded:
    """Everything that decides what a PNG shows, for kinds whose pixels are not decoded."""

    width: int
    height: int
    chunks: tuple[tuple[bytes, bytes], ...]


def decode(data: bytes) -> Picture | Undecoded:
    """Return what the PNG `data` shows.

    Decoded are images with eight bits per sample that are not interlaced: grey, RGB or with a
    palette, with or without alpha. Others come back as `Undecoded`, where only metadata and
    compression are set aside. Raises `ValueError` if `data` is not a complete PNG.
    """
    chunks = list(_chunks(data))
    kinds = dict(chunks)
    header = kinds.get(b"IHDR", b"")
    if len(header) != 13:
        raise ValueError("this PNG has no header")
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, interlaced = header[8], header[9], header[12]
    channels = _CHANNELS.get(colour, 4)
    size = height * (1 + width * channels * max(1, depth // 8))
    if not width or not height or size > _MOST:
        raise ValueError("this PNG has an impossible size")
    # Allow a little more than its size: an interlaced image has more rows.
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    raw = _inflated(packed, 2 * size + 64)
    if depth != 8 or interlaced or colour not in _CHANNELS:
        seen = tuple((kind, body) for kind, body in chunks if kind in _SEEN)
        return Undecoded(width, height, (*seen, (b"IDAT", raw)))
    if len(raw) < size:
        raise ValueError("this PNG is cut short")
    samples = _unfiltered(raw, height, width * channels, channels)
    rgba = _coloured(samples, colour, kinds.get(b"PLTE", b""), kinds.get(b"tRNS"))
    return Picture(width, height, rgba)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise ValueError("this is no PNG")
    place = len(_SIGNATURE)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if len(body) < length:
            break
        yield kind, body
        if kind == b"IEND":
            return
        place += 12 + length
    raise ValueError("this PNG is cut short")


def _inflated(packed: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error as error:
        raise ValueError(f"this PNG is damaged: {error}") from None


def _unfiltered(raw: bytes, height: int, stride: int, step: int) -> bytes:
    """Return the samples of all rows; `step` is the bytes per pixel."""
    rows: list[bytes] = []
    above = bytes(stride)
    for number in range(height):
        start = number * (stride + 1)
        above = _row(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, step)
        rows.append(above)
    return b"".join(rows)


def _row(kind: int, row: bytearray, above: bytes, step: int) -> bytes:
    """Undo the filter of one row (PNG specification, 9.2)."""
    if kind == 1:
        for at in range(step, len(row)):
            row[at] = (row[at] + row[at - step]) & 255
    elif kind == 2:
        return bytes([(a + b) & 255 for a, b in zip(row, above, strict=True)])
    elif kind == 3:
        for at in range(len(row)):
            left = row[at - step] if at >= step else 0
            row[at] = (row[at] + (left + above[at]) // 2) & 255
    elif kind == 4:
        for at in range(len(row)):
            left, corner = (row[at - step], above[at - step]) if at >= step else (0, 0)
            row[at] = (row[at] + _paeth(left, above[at], corner)) & 255
    elif kind != 0:
        raise ValueError("this PNG is damaged: there is no such filter")
    return bytes(row)


def _paeth(left: int, up: int, corner: int) -> int:
    """Return whichever is nearest to left + up - corner; if equal, the first in this order."""
    by_left, by_up = abs(up - corner), abs(left - corner)
    by_corner = abs(left + up - 2 * corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner


def _coloured(samples: bytes, colour: int, palette: bytes, clear: bytes | None) -> bytes:
    """Return samples as RGBA; `clear` is the tRNS chunk."""
    if colour == 6:
        return samples
    if colour == 4:
        grey, alpha = samples[::2], samples[1::2]
        return _interleaved(grey, grey, grey, alpha)
    if colour == 3:
        return _looked_up(samples, palette, clear or b"")
    if colour == 0:
        alpha = bytes(255 if clear is None or grey != clear[1] else 0 for grey in range(256))
        return _interleaved(samples, samples, samples, samples.translate(alpha))
    red, green, blue = samples[::3], samples[1::3], samples[2::3]
    if clear is None:
        return _interleaved(red, green, blue, b"\xff" * len(red))
    key = (clear[1], clear[3], clear[5])
    seen = [0 if pixel == key else 255 for pixel in zip(red, green, blue, strict=True)]
    return _interleaved(red, green, blue, bytes(seen))


def _looked_up(samples: bytes, palette: bytes, alphas: bytes) -> bytes:
    if samples and 3 * max(samples) + 3 > len(palette):
        raise ValueError("this PNG is damaged: a colour is not in its palette")
    full = palette.ljust(768, b"\0")[:768]
    tables = (full[::3], full[1::3], full[2::3], alphas.ljust(256, b"\xff")[:256])
    return _interleaved(*(samples.translate(table) for table in tables))


def _interleaved(red: bytes, green: bytes, blue: bytes, alpha: bytes) -> bytes:
    rgba = bytearray(4 * len(red))
    rgba[::4], rgba[1::4], rgba[2::4], rgba[3::4] = red, green, blue, alpha
    return bytes(rgba)
