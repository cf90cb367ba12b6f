"""A build of the example book with a failure: on a terminal, and as plain lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from book_session import COLUMNS, Session, book, played

pytestmark = pytest.mark.slow

CAPTURES = Path(__file__).parent / "captures"
RENEW = "RENEW_CAPTURES=1 python -m pytest tests/report/test_book_session.py"


def masked(lines):
    """Return lines without what differs from run to run: times, and IPython's way to say where."""
    text = "\n".join(lines)
    text = re.sub(rf"^(.{{{COLUMNS}}})\n", r"\1", text, flags=re.MULTILINE)  # folded: times count
    text = re.sub(r"\s+\d+ s$", "  N s", text, flags=re.MULTILINE)
    text = re.sub(r"(\d+ min )?\d+(\.\d)? s\b", "N s", text)
    text = re.sub(r"^( *)(Cell|Input) In ?\[(\d+)\].*", r"\1Cell In[\3]", text, flags=re.MULTILINE)
    return "\n".join(in_order(text.split("\n")))


def in_order(lines):
    """Return lines, those on one notebook together, by name: which comes first may differ."""
    blocks, rest = [], []
    for line in lines:
        if re.match("(executing|executed|failed) ", line):
            blocks.append([line])
        elif blocks and not rest and (not line or line.startswith("    ")):
            blocks[-1].append(line)
        else:
            rest.append(line)
    blocks.sort(key=lambda block: block[0].split()[1].rstrip(":"))
    return [*(line for block in blocks for line in block), *rest]


def check(name, lines):
    """Compare lines with a capture, or write it anew."""
    place, shown = CAPTURES / name, f"{masked(lines)}\n"
    if os.environ.get("RENEW_CAPTURES"):
        place.write_text(shown, encoding="utf-8")
    kept = place.read_text(encoding="utf-8")
    assert shown == kept, f"if it is meant to look so, and does look well: {RENEW}"


@pytest.mark.own_way("what the portable way says of itself is another picture")
def test_on_a_terminal(tmp_path):
    session = played(tmp_path)
    running, _ = next(session)
    check("running.txt", running.lines())
    failed, status = next(session)
    check("failed.txt", failed.lines())
    assert status == 1


@pytest.mark.own_way("what the portable way says of itself is another picture")
def test_as_plain_lines(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nbbuild", "-j", "1"],
        cwd=book(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "\x1b" not in done.stderr
    check("plain.txt", done.stderr.splitlines())


def test_tables_fit_the_terminal(tmp_path):
    root = book(tmp_path)
    narrow = Session(root, "list", "--assets", "several", columns=40)
    assert narrow.end() == 0
    assert narrow.lines() == [
        "TASK     NOTEBOOK",
        "    GROUPS       LAST  TOOK",
        "    ASSETS",
        "several  chapters/several.ipynb",
        "    experiments",
        "    data/arrivals.json",
    ]
    words = [sys.executable, "-m", "nbbuild", "list", "--assets", "several"]
    piped = subprocess.check_output(words, cwd=root, text=True, env={**os.environ, "COLUMNS": "40"})
    assert piped.splitlines() == [
        "TASK     NOTEBOOK                GROUPS       LAST  TOOK  ASSETS",
        "several  chapters/several.ipynb  experiments              data/arrivals.json",
    ], "programs read lines"
