"""Patterns: which paths they mean, and whether two can mean one path."""

from __future__ import annotations

import glob
import itertools
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.errors import ConfigError
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern, can_meet, escape, has_magic, literal_prefix, matches


def meant(text: str, *paths: str) -> list[str]:
    return [path for path in paths if matches(Pattern.parse(text), path)]


def meet(a: str, b: str) -> bool:
    found = can_meet(Pattern.parse(a), Pattern.parse(b))
    assert found == can_meet(Pattern.parse(b), Pattern.parse(a))
    return found


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("a/../b", "b"),
        ("a/b/..", "a/"),
        ("a/", "a/"),
        ("a/.", "a/"),
        ("a/../..", ".."),
        ("../../a/../*.csv", "../../*.csv"),
        (".", "."),
        ("a/..", "."),
        ("**/**/b", "**/b"),
        ("a**b/*", "a**b/*"),
    ],
)
def test_a_pattern_has_one_normal_form(text: str, normal: str) -> None:
    assert Pattern.parse(text).text == normal
    assert Pattern.parse(text) == Pattern.parse(normal)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a path or pattern\n\nhint: write a path such as 'data'"),
        ("a\0b", "'a\\x00b' is not a path or pattern\n\nhint: write a path such as 'data'"),
        ("/a", "pattern '/a' is absolute\n\nhint: write it relative to the root"),
        (
            "a/*/../b",
            "pattern 'a/*/../b' climbs out of a folder that a wildcard names\n\n"
            "hint: use '..' only at the beginning of a pattern",
        ),
    ],
)
def test_what_is_no_pattern_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pattern.parse(text)
    assert str(caught.value) == message


def test_a_literal_pattern_is_a_file_or_a_folder_with_all_that_is_in_it() -> None:
    paths = ("data", "data/a.csv", "data/.hidden/b", "database", "x/data")
    assert meant("data", *paths) == ["data", "data/a.csv", "data/.hidden/b"]
    assert meant("data/", *paths) == ["data/a.csv", "data/.hidden/b"]
    assert meant(".", *paths, "../x") == list(paths)
    assert meant("..", "../x", "../../x", "x") == ["../x", "x"]


def test_a_wildcard_stays_within_its_segment_and_means_files() -> None:
    paths = ("a.csv", "d/a.csv", "d/b.csv", "d/.c.csv", "d/e/a.csv", "d/a.csv/x", "d/.csv")
    assert meant("d/*.csv", *paths) == ["d/a.csv", "d/b.csv"]
    assert meant("d/?.csv", *paths) == ["d/a.csv", "d/b.csv"]
    assert meant("d/[b-z].csv", *paths) == ["d/b.csv"]
    assert meant("d/[!b].csv", *paths) == ["d/a.csv"]
    assert meant("d/.*", *paths) == ["d/.c.csv", "d/.csv"]
    assert meant("d/*/*.csv", *paths) == ["d/e/a.csv"]


def test_two_stars_are_any_number_of_folders_but_no_hidden_ones() -> None:
    paths = ("a.csv", "d/a.csv", "d/e/f/a.csv", ".h/a.csv", "d/.h/a.csv", "d/a.txt", "d/.x")
    assert meant("**/*.csv", *paths) == ["a.csv", "d/a.csv", "d/e/f/a.csv"]
    assert meant("d/**/*.csv", *paths) == ["d/a.csv", "d/e/f/a.csv"]
    assert meant("d/**", *paths) == ["d/a.csv", "d/e/f/a.csv", "d/a.txt"]
    assert meant("**/.h/*", *paths) == [".h/a.csv", "d/.h/a.csv"]
    assert meant("**/e/**/a.csv", *paths) == ["d/e/f/a.csv"]


def test_a_wildcard_with_a_slash_means_folders_with_all_that_is_in_them() -> None:
    paths = ("run-1", "run-1/a", "run-2/.b/c", "x/run-3/d")
    assert meant("run-*/", *paths) == ["run-1/a", "run-2/.b/c"]
    assert meant("**/run-*/", *paths) == ["run-1/a", "run-2/.b/c", "x/run-3/d"]
    assert meant("x/**/", *paths) == ["x/run-3/d"]


def test_brackets_that_no_class_needs_are_plain() -> None:
    assert meant("a[1", "a[1", "a1") == ["a[1"]
    assert meant("a[[]1].csv", "a[1].csv", "a1.csv") == ["a[1].csv"]
    assert meant("[]x]", "]", "x", "a") == ["]", "x"]
    assert meant("[z-a]*", "z", "a", "-") == []
    assert meant("[.]x", ".x") == []
    assert meant("a[!.]b=g.csv", "a-b=g.csv", "a.b=g.csv") == ["a-b=g.csv"]
    assert meant("a=g<g.csv", "a=g<g.csv") == ["a=g<g.csv"]


def test_no_wildcard_means_the_folder_above() -> None:
    assert meant(".*/a", "../a", ".b/a") == [".b/a"]
    assert meant("**/a", "../a", "a") == ["a"]
    assert meant("*/*", "../a", "b/a") == ["b/a"]
    assert not meet(".[.]/a", ".*/a")


def test_a_wildcard_above_the_root_may_come_down_into_it() -> None:
    assert meant("../**/*.csv", "../a.csv", "../x/a.csv", "a.csv", "d/a.csv") == [
        "../a.csv",
        "../x/a.csv",
        "a.csv",
        "d/a.csv",
    ]
    assert meant("../*/a.csv", "a.csv", "d/a.csv") == ["a.csv"]
    assert meant("../data/*.csv", "a.csv", "data/a.csv", "../data/a.csv") == ["../data/a.csv"]
    assert meet("../**/*.csv", "data/a.csv")
    assert meet("../../*/x/*.csv", "../x/a.csv")
    assert not meet("../../*/x/*.csv", "x/b/a.csv")
    assert not meet("../data/*.csv", "data/*.csv")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("data/*.csv", "data/a.csv", True),
        ("data/*.csv", "data/a.parquet", False),
        ("data/*.csv", "data/*.parquet", False),
        ("data/a*", "data/*b", True),
        ("data/a*c", "data/b*", False),
        ("data", "data/x/*.csv", True),
        ("data/x", "data", True),
        ("data", "database", False),
        ("data/", "data", True),
        ("data/*.csv", "data/a.csv/b", False),
        ("data/*/", "data/*.csv", False),
        ("data/*/", "data/a/b.csv", True),
        ("**/*.csv", "data/**/x*", True),
        ("**/x/**/y", "**/y/**/x", False),
        ("**/x/**", "**/y/**", True),
        ("**/*.csv", ".h/a.csv", False),
        ("[a-m]*", "[n-z]*", False),
        ("[!a-m]*", "[a-n]*", True),
        ("*a*b*", "*b*a*", True),
        ("a?", "?", False),
        ("*", ".*", False),
    ],
)
def test_two_patterns_meet_when_one_path_can_be_both(a: str, b: str, expected: bool) -> None:
    assert meet(a, b) is expected


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("data/raw/*.csv", "data/raw"),
        ("data/a.csv", "data"),
        ("a.csv", ""),
        ("*.csv", ""),
        ("data/", "data"),
        ("../x/**", "../x"),
        ("../*.csv", ".."),
        (".", ""),
        ("..", ".."),
        ("a[[]b/*", "a[b"),
    ],
)
def test_a_walk_begins_in_the_folder_before_the_first_wildcard(text: str, folder: str) -> None:
    assert literal_prefix(Pattern.parse(text)) == folder


def test_a_literal_pattern_knows_its_path() -> None:
    assert Pattern.parse("../a[[]1]/b/").path == "../a[1]/b"
    assert Pattern.parse(".").path == "."
    with pytest.raises(ValueError, match="has wildcards"):
        _ = Pattern.parse("a*").path
    assert [has_magic(text) for text in ("a/b", "a[b", "[*]", "a/**", "a?")] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_a_pattern_can_be_sent_to_a_worker() -> None:
    pattern = Pattern.parse("a/**/*.csv")
    assert matches(pickle.loads(pickle.dumps(pattern)), "a/b/c.csv")


def test_many_stars_take_no_time() -> None:
    began = time.perf_counter()
    assert meant("*a" * 30 + "*b", "a" * 200) == []
    assert meet("*a" * 30 + "*b", "*a" * 29 + "*c*") is True
    assert meant("**/a/" * 6 + "b", "/".join(["a"] * 25)) == []
    assert time.perf_counter() - began < 5


# -- against every path of a small world --------------------------------------------------------

NAMES = ("a", "b", "aa", "ab", "ba", "bb", ".a", ".b")
WORLD = tuple(
    "/".join(names) for depth in (1, 2, 3, 4) for names in itertools.product(NAMES, repeat=depth)
)
SEGMENTS = ("a", ".a", "*", "?", "a*", "*b", "[!a]", "[b]?", ".*", "[.]a", "a[z-a]", "**")


def test_patterns_meet_exactly_when_a_path_of_a_small_world_is_both() -> None:
    texts = [*SEGMENTS, *("/".join(pair) for pair in itertools.product(SEGMENTS, repeat=2))]
    texts = sorted({Pattern.parse(t).text for t in (*texts, *(f"{s}/" for s in texts[::3]), ".")})
    masks = []
    for text in texts:
        pattern = Pattern.parse(text)
        mask = "".join("1" if matches(pattern, path) else "0" for path in WORLD)
        masks.append((pattern, int(mask, 2)))
    wrong = [
        (a.text, b.text)
        for (a, paths), (b, others) in itertools.combinations_with_replacement(masks, 2)
        if can_meet(a, b) != bool(paths & others)
    ]
    assert wrong == []


texts = st.lists(
    st.one_of(
        st.sampled_from([*SEGMENTS, "b", "*a*", "?*", "[a-b]*"]), st.text("ab.*?[]!-", min_size=1)
    ),
    min_size=1,
    max_size=4,
).map("/".join)
paths = st.lists(st.text("ab.-]", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


def parsed(text: str) -> Pattern | None:
    try:
        return Pattern.parse(text)
    except ConfigError:
        return None


@settings(deadline=None)
@given(texts, texts, paths)
def test_patterns_that_mean_one_path_can_meet(a: str, b: str, path: str) -> None:
    one, other = parsed(a), parsed(b)
    normal = all(name not in (".", "..") for name in path.split("/"))
    if one and other and normal and matches(one, path) and matches(other, path):
        assert can_meet(one, other)
    if one and normal and matches(one, path):
        assert can_meet(one, Pattern.parse(escape(path)))


# -- the index ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(texts, max_size=12), texts, paths, st.integers(0, 2), st.integers(0, 2))
def test_the_index_finds_what_asking_all_finds(
    many: list[str], one: str, path: str, ups: int, others: int
) -> None:
    known = [p for n, t in enumerate(many) if (p := parsed("../" * (others * (n % 2)) + t))]
    known = list(dict.fromkeys(known))
    index = PatternIndex(known)
    pattern = parsed("../" * ups + one)
    if pattern is not None:
        expected = [other for other in known if can_meet(pattern, other)]
        assert list(index.meeting(pattern)) == expected
    if all(name not in (".", "..") for name in path.split("/")):
        expected = [other for other in known if matches(other, path)]
        assert list(index.matching(path)) == expected


def test_the_index_of_ten_thousand_tasks_answers_without_the_full_square() -> None:
    made = [Pattern.parse(f"data/{n % 100}/out-{n}-*.csv") for n in range(10_000)]
    read = [Pattern.parse(f"data/{n % 100}/out-{n}-x.csv") for n in range(10_000)]
    began = time.perf_counter()
    index = PatternIndex(made)
    found = [index.meeting(pattern) for pattern in read]
    assert found == [(pattern,) for pattern in made]
    assert len(index.meeting(Pattern.parse("data/7/*.csv"))) == 100
    assert time.perf_counter() - began < 10


def test_escaped_text_is_plain() -> None:
    assert escape("a*b[1]?") == glob.escape("a*b[1]?") == "a[*]b[[]1][?]"
    assert meant(escape("a*b[1]?"), "a*b[1]?", "axb1y") == ["a*b[1]?"]
