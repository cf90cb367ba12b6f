"""The documents that the page of a watched project consists of, each with its policy.

The outer page runs one script, ours. It shows two more documents in sandboxed frames: the report of
the last build, which runs the report's own script and can ask for nothing, and a built notebook. No
script runs in the latter. It counts as being of the same origin, so that the outer page can keep
its place when it is loaded again; without scripts, that gives it no power.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nbbuild.errors import NbbuildError
from nbbuild.report.formats import rendered as report
from nbbuild.report.kept import ReportFolder
from nbbuild.report.page import digest
from nbbuild.text.markup import Markup, tag
from nbbuild.verbs.watch.rendering import rendered
from nbbuild.verbs.watch.site import Site

_HERE: Final = Path(__file__).with_name("page")

_HTML: Final = "text/html; charset=utf-8"

NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
"""The policy of what is no document."""

_REPORT: Final = "sandbox allow-scripts; base-uri 'none'; frame-ancestors 'self'"  # and its own

_NOTEBOOK: Final = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its bytes, their content type, and their Content-Security-Policy."""

    body: bytes
    kind: str = _HTML
    policy: str = NOTHING


def page(site: Site, path: str) -> Reply | None:
    """Return what is at `path` below the token, None if nothing is."""
    if path == "":
        return _outer(site.project)
    if path == "report":
        return _report(site)
    lead, slash, task = path.partition("/")
    return _notebook(site, task) if lead == "notebook" and slash else None


def _outer(project: str) -> Reply:
    style, script = (
        (_HERE / name).read_text(encoding="utf-8") for name in ("outer.css", "outer.js")
    )
    policy = (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; "
        "connect-src 'self'; frame-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{project} – nbbuild watch"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    state = tag(
        "section",
        tag("h1", project),
        tag("p", "connecting …", id="said", role="status"),
        tag("pre", id="error", hidden=True),
        tag("ul", id="tasks", aria_label="Notebooks"),
        tag("h2", "Last report"),
        tag("iframe", id="report", sandbox="allow-scripts", title="Report of the last build"),
        id="state",
    )
    shown = tag(
        "section",
        tag("h2", "No notebook yet", id="name"),
        tag("iframe", id="notebook", sandbox="allow-same-origin", title="Built notebook"),
        id="shown",
    )
    body = tag("body", tag("main", state, shown), tag("script", Markup(script)))
    html = f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
    return Reply(_bytes(html), policy=policy)


def _report(site: Site) -> Reply:
    if site.root is None:
        return _message("There is no report yet.")
    kept = ReportFolder(site.root)
    try:
        return Reply(report("html", kept.find(), kept), policy=_REPORT)
    except NbbuildError as error:
        return _message(f"{error.what}.")


def _notebook(site: Site, task: str) -> Reply | None:
    place = site.place(task)
    if place is None:
        return None
    try:
        return Reply(_bytes(rendered(place.path.read_bytes(), place.title)), policy=_NOTEBOOK)
    except (OSError, ValueError) as error:
        return _message(f"The built notebook cannot be read: {error}.")


def _message(text: str) -> Reply:
    head = tag("head", tag("meta", charset="utf-8"), tag("title", text))
    html = f"<!DOCTYPE html>\n{tag('html', head, tag('body', tag('p', text)), lang='en')}\n"
    return Reply(_bytes(html), policy=_NOTEBOOK)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
