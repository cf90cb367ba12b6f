"""Render a built notebook as HTML: with nbconvert where that is installed, else plainly.

The plain way shows sources, texts and images, nothing else, each escaped. Whatever nbconvert makes
may hold any HTML: only the policy that it is sent with, and its frame, keep it from doing anything.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from nbbuild.text.markup import NOTHING, Markup, joined, tag

_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_STYLE: Final = Path(__file__).with_name("page") / "notebook.css"


def rendered(data: bytes, title: str) -> str:
    """Return the HTML page of a notebook, given as the bytes of its `.ipynb` file.

    Raises ValueError if it is none.
    """
    return _converted(data, title) or plain(data, title)


def plain(data: bytes, title: str) -> str:
    """Return a page with a notebook's sources, texts and images."""
    try:
        cells = json.loads(data)["cells"]
        parts = [_cell(cell) for cell in cells]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no notebook: {error}") from error
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("h1", title), tag("main", *parts))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _converted(data: bytes, title: str) -> str | None:
    """Return what nbconvert makes of a notebook; None if it is missing, or fails."""
    try:
        import nbformat
        from nbconvert import HTMLExporter
    except ImportError:
        return None
    try:
        # The addresses of what a page with a network would load, none of which is allowed here.
        exporter: Any = HTMLExporter(
            embed_images=True, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url=""
        )
        notebook = nbformat.reads(data.decode("utf-8", "replace"), as_version=4)
        made, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    except Exception:  # noqa: BLE001 - a template or a filter may raise anything
        return None
    return str(made)


def _cell(cell: Mapping[str, Any]) -> Markup:
    source = _text(cell["source"])
    if cell["cell_type"] != "code":
        return tag("div", source, class_="prose")
    count = cell.get("execution_count")
    outputs = [_output(one) for one in cell.get("outputs", ())]
    return tag(
        "section",
        tag("p", f"In [{' ' if count is None else count}]", class_="count"),
        tag("pre", source, class_="source"),
        *outputs,
    )


def _output(output: Mapping[str, Any]) -> Markup:
    kind = output["output_type"]
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return tag("pre", _bare(_text(output["text"])), class_=name)
    if kind == "error":
        lines = output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"]
        return tag("pre", _bare("\n".join(map(str, lines))), class_="error")
    return joined(*_displayed(output.get("data", {})))


def _displayed(data: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield an image, or else the text, of what a cell displayed."""
    for kind in _IMAGES:
        image = _text(data.get(kind, ""))
        if image and _BASE64.fullmatch(image):
            yield tag("img", src=f"data:{kind};base64,{''.join(image.split())}", alt="output")
            return
    drawing = _text(data.get("image/svg+xml", ""))
    if drawing:  # as an image, it runs nothing and loads nothing
        encoded = base64.b64encode(drawing.encode("utf-8", "replace")).decode()
        yield tag("img", src=f"data:image/svg+xml;base64,{encoded}", alt="output")
        return
    text = _text(data.get("text/plain", ""))
    yield tag("pre", _bare(text), class_="result") if text else NOTHING


def _text(value: object) -> str:
    """Return a text that may be a list of lines."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _bare(text: str) -> str:
    return _COLOURS.sub("", text)
