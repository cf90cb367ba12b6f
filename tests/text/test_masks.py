"""What is set aside takes time in proportion to the text, and a user's pattern sees parts of it."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.text import masks
from nbbuild.text.masks import MASKS, WINDOW, without
from nbbuild.verbs import comparing

# Beginnings and ends of what the masks look for, and what their repeats take.
PARTS = [
    *("1", "1,", "1.", "9.5e", "1 s ", "1 ns ± ", "(mean ± std. dev. of ", "in 1", "took 1."),
    *("Wall time: ", "1min ", "[1<1,", "[1:", "/", "[1&lt;1,a/", "0x", "a1", "at 0x1", "In [1"),
    *("ipykernel", "ipykernel_1", "ipykernel/1", ".py", "ab12+/cd", "a.b(1),c;", "x" * 50),
    *('File "/', "  File /a/", "~/", "\\a", "/a.py", ".py:1: ", "a.py:1: Warn", "\n", " ", "\t"),
    *("<ipython-input-1-", "tmpab12cd_x", "<dc:date>", "#", 'id="', "\x1b[1", "\x1b]0", "-"),
]
PATTERNS = {
    **{f"{number} {mask[0]}": mask[1] for number, mask in enumerate(MASKS)},
    **{name: value for name, value in vars(comparing).items() if isinstance(value, re.Pattern)},
}


def seconds(pattern, text):
    """Return the processor's time, which is this thread's alone."""
    began = time.thread_time()
    pattern.sub("", text)
    return time.thread_time() - began


@pytest.mark.parametrize("name", PATTERNS)
def test_a_mask_takes_time_in_proportion_to_the_text(name):
    chance = random.Random(name)
    combined = ["".join(chance.choices(PARTS, k=chance.randint(2, 4))) for _ in range(20)]
    pattern = PATTERNS[name]
    for part in [*PARTS, *combined]:
        text = "\n/" + part * (32_000 // len(part))
        if seconds(pattern, text) < 0.05:
            continue  # a quadratic one takes ten times as long
        # Four times the text: four times as long, or sixteen times where it is quadratic.
        few, many = (min(seconds(pattern, one) for _ in range(3)) for one in (text[:8_000], text))
        assert many < 10 * few, part


@pytest.mark.parametrize(
    ("pattern", "text", "rest"),
    [
        ("[0-9a-f]{32}", ("x" * 7001 + "0123456789abcdef" * 2) * 9, "x" * 7001 * 9),
        ("^Run on .*$", "Run on Monday\nx = 1\n" * 3000, "\nx = 1\n" * 3000),
        ("^Run .*$", "Run " + "y" * 100_000 + "\nend", "\nend"),
        ("(?s)begin.*?end", "a" + ("begin" + "-\n" * 2000 + "end") * 9 + "b", "ab"),
        ("x*", "abx" * 20_000, "ab" * 20_000),
        ("y{1,9}$", "y" * 25_000 + "z", "y" * 25_000 + "z"),
        ("(?<=a)b", "ab" * 20_000, "a" * 20_000),
    ],
)
def test_a_users_pattern_removes_from_a_long_text_what_it_matches(pattern, text, rest):
    compiled = re.compile(pattern, re.MULTILINE)
    assert len(text) > WINDOW
    assert compiled.sub("", text) == rest
    assert without(compiled, text) == rest


@given(
    st.sampled_from(
        ["[a-c]+", "^a.*$", "ab|b+c", "(?s)a.{3}", r"\bab\b", "a(?=b)", "^", "(?<!a)c"]
    ),
    st.text("abc \n", max_size=200),
)
@settings(max_examples=200)
def test_matches_that_are_short_for_what_is_seen_are_those_of_the_whole(pattern, text):
    compiled = re.compile(pattern, re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "WINDOW", 50)
        assert without(compiled, text) == compiled.sub("", text)


def test_a_pattern_that_goes_back_and_forth_sees_only_a_part(monkeypatch):
    seen = []

    class Watched:
        def search(self, text, at, end):
            seen.append(end - at)
            return None

    assert without(Watched(), "x" * 1_000_000) == "x" * 1_000_000
    assert max(seen) == WINDOW
    assert sum(seen) <= 2 * 1_000_000 + WINDOW
