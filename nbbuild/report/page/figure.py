"""A section of the page with one drawing, which may be wider than the screen, and a note below."""

from __future__ import annotations

from nbbuild.text.markup import Markup, tag


def figure(title: str, drawing: Markup, note: str, *, id: str) -> Markup:
    """Return the section; `id` is that of its heading, for links."""
    return tag(
        "section",
        tag("h2", title, id=id),
        tag("div", drawing, class_="wide", tabindex="0", role="region", aria_label=title),
        tag("p", note, class_="note"),
        aria_labelledby=id,
    )
