"""A report as one HTML page that needs nothing else: no network, no other file.

Notebooks are not trusted. Of what they say, only texts get in (names, messages, tracebacks, the
source of the cell that failed), each escaped by `markup.tag`; their outputs do not. The page's
policy (Content-Security-Policy) allows only the one style and the one script that are written here,
named by their digests, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from pathlib import Path

from nbbuild.report.document import Document
from nbbuild.report.page import graph, notebooks, summary, table, timeline
from nbbuild.text.markup import Markup, tag

_HERE = Path(__file__).parent


def render(document: Document, earlier: Collection[Document] = ()) -> str:
    """Return the page of a report; `earlier` reports, newest first, give each task its history."""
    style, script = (_text(name) for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", summary.title(document)),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the notebooks", href="#notebooks", class_="skip"),
        summary.header(document),
        tag(
            "main",
            summary.tiles(document),
            summary.problems(document),
            timeline.section(document),
            graph.section(document),
            table.section(document),
            notebooks.section(document, earlier),
        ),
        summary.footer(document),
        tag("script", Markup(script)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Return how a policy names a style or script that it allows."""
    found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{found}'"
