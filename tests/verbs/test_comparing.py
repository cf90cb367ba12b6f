"""Outputs of two executions compared: what is set aside, and what never is."""

from __future__ import annotations

import base64
import io
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.verbs.comparing import Comparison, Difference
from nbbuild.verbs.pixels import Picture, Undecoded, decode


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def result(data, **more):
    return {"output_type": "execute_result", "data": data, "metadata": {}, **more}


def display(data):
    return {"output_type": "display_data", "data": data, "metadata": {}}


def notebook(*cells, **metadata):
    """Return a built notebook: a cell of prose, then one for each list of outputs."""
    code = [{"cell_type": "code", "outputs": list(outputs)} for outputs in cells]
    return {"cells": [{"cell_type": "markdown"}, *code], "metadata": metadata}


def differences(before, after, ignore=()):
    return Comparison.of(ignore).notebooks(before, after)


def same(before, after, ignore=()):
    return differences(notebook([before]), notebook([after]), ignore) == ()


# -- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<object at 0x7f3a1c2b4d50>", "<object at 0x7f0000001234>"),
        ("<A at 0x5>", "<A at 0x6ff>"),
        ("ptr 0x7f3a1c2b4d50", "ptr 0x55d000aa1234"),
        (
            "CPU times: user 1.2 ms, sys: 0 ns, total: 1.2 ms\nWall time: 1.21 ms\n",
            "CPU times: user 9 ms, sys: 1 µs, total: 9 ms\nWall time: 1min 2s\n",
        ),
        (
            "1.23 μs ± 45.6 ns per loop (mean ± std. dev. of 7 runs, 1,000,000 loops each)",
            "941 ns ± 3 ns per loop (mean ± std. dev. of 7 runs, 100,000 loops each)",
        ),
        ("fitted in 0.123 s, 3 rounds", "fitted in 12.5 s, 3 rounds"),
        ("took 3 ms", "took 12.5 µs"),
        ("Elapsed time: 1.5 seconds", "Elapsed time: 0.25 seconds"),
        ("100%|██| 9/9 [00:01<00:00,  9.95it/s]", "100%|██| 9/9 [00:00<00:00, 99.1it/s]"),
        (
            " 9/9 [00:01&lt;00:00,  9.95it/s, loss=0.1]",  # in a widget
            " 9/9 [00:00&lt;00:00, 99.1it/s, loss=0.1]",
        ),
        (
            "run 8d2f2c1e-7f1a-4e0b-9c55-0123456789ab",
            "run 00000000-0000-4000-8000-000000000000",
        ),
        ("id-8d2f2c1e7f1a4e0b9c550123456789ab", "id-0000000000004000800000000000000a"),
        ("Cell In[3], line 1", "Cell In[12], line 1"),
        ("/tmp/ipykernel_12/345.py:1: W", "/var/t/ipykernel_9/678.py:1: W"),
        (
            "/home/me/.venv/lib/a.py:7: UserWarning: w\n",
            "~/project/lib/a.py:7: UserWarning: w\n",
        ),
        ("File /home/me/project/lib/a.py:7, in f(x)", "File ~/lib/a.py:7, in f(x)"),
        ('  File "/a/b c/lib/a.py", line 7', '  File "/b/lib/a.py", line 7'),
        ("<ipython-input-3-0a1b2c>", "<ipython-input-4-ffffff>"),
        ("wrote /tmp/tmpab12cd_x/a.txt", "wrote /tmp/tmpzzzzzzz9/a.txt"),
    ],
)
def test_what_differs_by_its_nature_is_set_aside(before, after):
    assert same(stream(before), stream(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.1234", "0.1235"),
        ("colour 0xff00ff", "colour 0xff00fe"),
        ("hash 0x1234567890abcdef", "hash 0x1234567890abcdee"),
        ("arrives in 5 s", "arrives in 6 s"),
        ("v = 1.5 m", "v = 1.6 m"),
        ("md5 d41d8cd98f00b204e9800998ecf8427e", "md5 d41d8cd98f00b204e9800998ecf8427f"),
        ("loss 3.5 per loop", "loss 3.6 per loop"),
        ("x[1] = 2", "x[2] = 2"),
        ("/a/b.py", "/c/b.py"),
        ("/a/b.py:7: UserWarning: v", "/a/b.py:8: UserWarning: v"),
        ("a", "a\nb"),
    ],
)
def test_a_plain_value_that_changes_is_a_difference(before, after):
    assert not same(stream(before), stream(after))


@given(text=st.text(), tail=st.text(alphabet="xyz", min_size=1))
@settings(max_examples=50)
def test_text_is_the_same_as_itself_and_not_as_more_of_it(text, tail):
    assert same(stream(text), stream(text))
    assert not same(stream(text), stream(f"{text} {tail}"))


def test_the_users_patterns_are_removed_from_both_sides_line_by_line():
    before, after = stream("Run on Monday\nx = 1\n"), stream("Run on Friday\nx = 1\n")
    assert not same(before, after)
    assert same(before, after, ["^Run on .*$"])
    assert not same(before, stream("Run on Friday\nx = 2\n"), ["^Run on .*$"])


def test_the_first_difference_of_each_cell_is_told_with_a_short_diff():
    before = notebook([stream("a\n")], [stream("one\ntwo\nthree\n"), result({"text/plain": "1"})])
    after = notebook([stream("b\n")], [stream("one\n2\nthree\n"), result({"text/plain": "2"})])

    assert differences(before, after) == (
        Difference("stdout", 1, ("-a", "+b"), 2),
        Difference("stdout", 2, (" one", "-two", "+2", " three"), 3),
    )


def test_a_long_diff_is_cut_and_of_a_long_line_the_part_that_differs_is_shown():
    many = [stream("".join(f"{sign}{n}\n" for n in range(50))) for sign in "ab"]
    (found,) = differences(notebook([many[0]]), notebook([many[1]]))
    assert len(found.diff) == 13
    assert found.diff[-1] == "… 88 more lines"

    lines = [stream("=" * 500 + end) for end in ("left", "right")]
    (found,) = differences(notebook([lines[0]]), notebook([lines[1]]))
    assert found.diff == (f"-…{'=' * 40}left", f"+…{'=' * 40}right")


def test_pieces_of_a_stream_are_one_text_and_its_name_counts():
    joined = notebook([stream("ab"), result({"text/plain": "1"})])
    assert (
        differences(
            joined, notebook([stream("a"), stream("b"), *joined["cells"][1]["outputs"][1:]])
        )
        == ()
    )
    assert differences(notebook([stream("a")]), notebook([stream("a", "stderr")])) == (
        Difference("stdout", 1, ("-stdout: a", "+stderr: a"), 2),
    )


def test_an_output_more_or_less_is_a_difference():
    assert differences(notebook([]), notebook([display({"text/plain": "new"})])) == (
        Difference("text/plain of display 1", 1, ("+text/plain of display 1: new",), 2),
    )


def test_execution_counts_and_colours_of_tracebacks_do_not_count():
    def error(count, colour):
        return {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "x",
            "traceback": [f"{colour}Cell In[{count}], line 1\x1b[0m", "ValueError: x"],
        }

    assert same(error(1, "\x1b[31m"), error(2, "\x1b[0;32m"))
    assert same(result({"text/plain": "1"}, execution_count=1), result({"text/plain": "1"}))


# -- rich output -------------------------------------------------------------------------------


def test_json_is_compared_by_structure_and_numbers_in_it_count():
    before = {"application/vnd.plotly.v1+json": {"a": [1, {"b": None}], "c": "at 0x12"}}
    other_order = {"application/vnd.plotly.v1+json": {"c": "at 0x34", "a": [1, {"b": None}]}}
    changed = {"application/vnd.plotly.v1+json": {"c": "at 0x34", "a": [2, {"b": None}]}}
    assert same(display(before), display(other_order))
    assert not same(display(before), display(changed))
    assert same(
        display({"application/json": float("nan")}), display({"application/json": float("nan")})
    )


def test_a_styled_tables_ids_do_not_count():
    html = '<style>#T_{0}_row0_col0 {{color: red}}</style><table id="T_{0}"><td>{1}</td></table>'
    assert same(
        display({"text/html": html.format("1a2b3", 5)}),
        display({"text/html": html.format("fffff", 5)}),
    )
    assert not same(
        display({"text/html": html.format("1a2b3", 5)}),
        display({"text/html": html.format("1a2b3", 6)}),
    )


def test_an_svgs_date_and_ids_do_not_count_but_what_uses_which_does():
    svg = '<svg><dc:date>{}</dc:date><path id="{}"/><path id="{}"/><use href="#{}"/></svg>'
    one = display({"image/svg+xml": svg.format("2024", "ma1", "mb2", "ma1")})
    assert same(one, display({"image/svg+xml": svg.format("2025", "xc3", "xd4", "xc3")}))
    assert not same(one, display({"image/svg+xml": svg.format("2024", "ma1", "mb2", "mb2")}))


def test_widgets_are_compared_by_their_states_whatever_their_ids():
    def widgets(first, second, value):
        state = {
            first: {
                "model_name": "SliderModel",
                "state": {"value": value, "layout": f"IPY_MODEL_{second}"},
            },
            second: {"model_name": "LayoutModel", "state": {}},
        }
        known = "application/vnd.jupyter.widget-state+json"
        return notebook([], widgets={known: {"state": state}})

    ids = [f"{n:012x}4abc8{n:015x}" for n in (1, 2, 99, 3)]
    assert differences(widgets(*ids[:2], 5), widgets(*ids[2:], 5)) == ()
    (found,) = differences(widgets(*ids[:2], 5), widgets(*ids[2:], 6))
    assert (found.what, found.cell) == ("state of its widgets", None)


# -- pictures ----------------------------------------------------------------------------------


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width, height, rows, *, colour=6, depth=8, extra=(), level=6, interlaced=0):
    """Return a PNG; `rows` come with their filter bytes."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header += bytes([depth, colour, 0, 0, interlaced])
    parts = [
        (b"IHDR", header),
        *extra,
        (b"IDAT", zlib.compress(b"".join(rows), level)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def image(data, mime="image/png"):
    return display({mime: base64.b64encode(data).decode()})


RED, BLUE = b"\xff\0\0\xff", b"\0\0\xff\xff"


def test_pictures_are_compared_by_their_pixels():
    plain = png(2, 1, [b"\0" + RED + BLUE])
    filtered = png(
        2, 1, [b"\1" + RED + bytes([1, 0, 255, 0])], level=0, extra=[(b"tEXt", b"Date\0now")]
    )
    other = png(2, 1, [b"\0" + RED + RED])

    assert same(image(plain), image(filtered))
    assert differences(notebook([image(plain)]), notebook([image(other)])) == (
        Difference("image/png of display 1", 1, ("1 of 2 pixels differ",), 2),
    )
    wider = png(3, 1, [b"\0" + RED * 3])
    assert differences(notebook([image(plain)]), notebook([image(wider)])) == (
        Difference("image/png of display 1", 1, ("-2×1 pixels", "+3×1 pixels"), 2),
    )


def test_other_images_are_compared_by_their_bytes():
    assert same(image(b"\xff\xd8a", "image/jpeg"), image(b"\xff\xd8a", "image/jpeg"))
    (found,) = differences(
        notebook([image(b"\xff\xd8a", "image/jpeg")]), notebook([image(b"\xff\xd8b", "image/jpeg")])
    )
    assert found.diff == ("-3 bytes", "+3 bytes, other bytes")


@pytest.mark.parametrize(
    ("colour", "row", "extra", "expected"),
    [
        (0, b"\x10\xff", (), b"\x10\x10\x10\xff\xff\xff\xff\xff"),
        (0, b"\x10\xff", [(b"tRNS", b"\0\x10")], b"\x10\x10\x10\0\xff\xff\xff\xff"),
        (2, b"\1\2\3\4\5\6", (), b"\1\2\3\xff\4\5\6\xff"),
        (2, b"\1\2\3\4\5\6", [(b"tRNS", b"\0\4\0\5\0\6")], b"\1\2\3\xff\4\5\6\0"),
        (
            3,
            b"\1\0",
            [(b"PLTE", b"\x0a\x0b\x0c\x14\x15\x16"), (b"tRNS", b"\x80")],
            b"\x14\x15\x16\xff\x0a\x0b\x0c\x80",
        ),
        (4, b"\x07\x80\x08\x90", (), b"\7\7\7\x80\x08\x08\x08\x90"),
    ],
)
def test_every_colour_type_of_eight_bits_is_decoded(colour, row, extra, expected):
    assert decode(png(2, 1, [b"\0" + row], colour=colour, extra=extra)) == Picture(2, 1, expected)


def test_the_decoder_agrees_with_pillow_on_every_filter():
    images = pytest.importorskip("PIL.Image")
    rows, width = [], 7
    noise = bytes((n * n * 31 + 7 * n) % 256 for n in range(width * 4 * 5))
    for kind in range(5):
        rows.append(bytes([kind]) + noise[kind * width * 4 : (kind + 1) * width * 4])
    data = png(width, 5, rows)
    with images.open(io.BytesIO(data)) as read:
        assert decode(data) == Picture(width, 5, read.convert("RGBA").tobytes())


def test_what_is_not_decoded_is_compared_without_its_metadata():
    row = [b"\0" + b"\1\2\3\4"]
    deep = png(2, 1, row, colour=0, depth=16)
    dated = png(2, 1, row, colour=0, depth=16, level=0, extra=[(b"tIME", b"1234567")])
    assert isinstance(decode(deep), Undecoded)
    assert same(image(deep), image(dated))
    assert not same(image(deep), image(png(2, 1, [b"\0\1\2\3\5"], colour=0, depth=16)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no PNG at all",
        png(2, 1, [b"\0" + RED + BLUE])[:-20],
        png(2, 2, [b"\0" + RED + BLUE]),
        png(0, 1, [b"\0"]),
        png(1, 1, [b"\7" + RED]),
        png(1, 1, [b"\0\5"], colour=3, extra=[(b"PLTE", b"\0\0\0")]),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"x") + chunk(b"IEND", b""),
    ],
)
def test_a_damaged_picture_is_an_error_and_compared_by_its_bytes(data):
    with pytest.raises(ValueError, match="PNG"):
        decode(data)
    assert same(image(data), image(data))
    assert not same(image(data), image(data + b"x"))


def test_an_image_that_is_no_base64_is_compared_as_text():
    assert same(display({"image/png": "not base64!"}), display({"image/png": "not base64!"}))
    assert not same(display({"image/png": "not base64!"}), display({"image/png": "nor this!"}))


def test_a_notebook_from_json_is_the_same_as_itself():
    cells = notebook([stream("a"), result({"text/plain": ["1\n", "2"]})])
    again = json.loads(json.dumps(cells))
    again["cells"][1]["outputs"][1]["data"]["text/plain"] = "1\n2"
    assert differences(cells, again) == ()
