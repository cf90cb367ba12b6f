"""Write times, sizes and numbers as people read them."""

from __future__ import annotations


def duration(seconds: float, *, whole: bool = False) -> str:
    """Return a time as people write it: "14.2 s", "3 min 05 s", "1 h 02 min".

    `whole` drops the tenths, for times that are estimates or still running.
    """
    if round(seconds, 0 if whole else 1) < 60:
        return f"{seconds:.0f} s" if whole else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def number_of(number: int, noun: str) -> str:
    """Return a number of things in words: "1 page", "2 pages"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def amount(size: int) -> str:
    """Return a number of bytes as people write it: "512 bytes", "1.2 kB", "3.4 GB"."""
    if size < 1000:
        return number_of(size, "byte")
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if round(value, 1) < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
