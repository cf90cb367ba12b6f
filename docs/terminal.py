"""Draw a build on a terminal: `python docs/terminal.py` writes docs/terminal-*.svg.

It builds the example book with a mistake on one page, as tests/report/test_book_session.py does.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "report"))

from book_session import played  # noqa: E402

ACROSS, DOWN, MARGIN = 8.4, 18, 14  # pixels a column, a line, around the screen
COLOURS = {"default": "#d4d4d4", "green": "#4ec96a", "cyan": "#4fc1d9", "red": "#ff6b68"}
GREY = "#8b8b8b"
STYLE = "font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def drawing(session, title: str) -> str:
    """Return the screen of a session as SVG."""
    lines = len(session.lines())
    wide = session.screen.columns * ACROSS + 2 * MARGIN
    high = lines * DOWN + 2 * MARGIN
    texts = [text for line in range(lines) for text in _texts(session.screen, line)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high}" width="{wide:g}" '
        f'height="{high}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#1e1e1e"/>\n'
        f'<g style="{STYLE}">\n' + "\n".join(texts) + "\n</g>\n</svg>\n"
    )


def _texts(screen, line: int) -> Iterator[str]:
    """Yield the parts of a line that look alike, each in its place."""
    columns = ((at, screen.buffer[line][at]) for at in range(screen.columns))
    for (colour, bold), group in groupby(columns, key=lambda one: (one[1].fg, one[1].bold)):
        found = list(group)
        fill = COLOURS.get(colour) or (f"#{colour}" if len(colour) == 6 else GREY)
        weight = ' font-weight="bold"' if bold else ""
        # Browsers make one space of two, so each part has its place; fonts differ, so its width.
        for part in re.finditer(r"\S+( \S+)*", "".join(char.data for _, char in found)):
            x = MARGIN + (found[0][0] + part.start()) * ACROSS
            y = MARGIN + line * DOWN + 13
            yield (
                f'<text x="{x:g}" y="{y}" textLength="{len(part[0]) * ACROSS:g}" '
                f'lengthAdjust="spacingAndGlyphs" fill="{fill}"{weight}>{escape(part[0])}</text>'
            )


def main() -> None:
    """Draw both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        titles = {"running": "A build in progress", "failed": "The end of a build that failed"}
        for (name, title), (session, _) in zip(titles.items(), played(Path(folder)), strict=True):
            place = HERE / f"terminal-{name}.svg"
            place.write_text(drawing(session, title), encoding="utf-8")
            print(f"wrote {place.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
