"""Whatever nbbuild reads or is asked, an error that it did not foresee is a defect."""

import copy
import json
import os

import pytest
import tomlkit
from forked_kernels import forking
from fuzz_targets import SEEDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notebook_sources import ipynb

FULL = int(os.environ.get("NBBUILD_STRESS_EXAMPLES", "20000"))

_DEEP = json.loads("[" * 400 + "]" * 400)
SHARED = ([], {}, [[]], [None], {"a": 1}, {"": None}, ["x"] * 2_000, _DEEP)
JUNK = st.one_of(
    st.sampled_from(
        (
            *(None, True, False, 0, -1, 1.5, 10**30, -(2**63), 2**64, "", "a", "\x00", "\x1b[31m"),
            *("/", "../..", "/:**", "**/" * 500, "\ud800", "é" * 5000, "1e999", "20 years"),
            *SHARED,
        )
    ),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
)


def _places(value, at=()):
    yield at
    entries = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        entries = enumerate(value)
    for key, inner in entries:
        yield from _places(inner, (*at, key))


@st.composite
def mutated(draw, seeds):
    """Return one of `seeds` in which one to three places hold junk, or are gone, or named anew."""
    value = copy.deepcopy(draw(st.sampled_from(seeds)))
    places = [*_places(value)][1:]  # of the seed: junk stays as it is
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places))
        deed = draw(st.sampled_from(("junk", "junk", "gone", "named")))
        junk, name = draw(JUNK), draw(st.text(max_size=4))
        inside = value
        try:
            for key in above:
                inside = inside[key]
                if any(inside is one for one in SHARED):
                    raise KeyError(key)
            _ = inside[last]
        except (KeyError, IndexError, TypeError):
            continue
        if not isinstance(inside, dict | list):
            continue
        if deed == "junk" or isinstance(inside, list):
            inside[last] = junk
        else:
            gone = inside.pop(last)
            if deed == "named":
                inside[name] = gone
    return value


def _bytes(name, value):
    if name == "config":
        try:
            return tomlkit.dumps(value).encode("utf-8", "surrogatepass")
        except Exception:  # noqa: BLE001 - no TOML says this
            return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _examples(number):
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


_FOUND = {
    "notebook": (b'{"nbformat": 3, "nbformat_minor": null, "metadata": {}, "worksheets": []}',),
    "account": (b'{"format": 4, "children": "\\u0000", "records": []}',),
}
"""What earlier runs found."""


def _tried(name, number):
    target, seeds = SEEDS[name]
    texts = [_bytes(name, seed) for seed in seeds]
    for text in texts:
        target(text)  # as it is, it is sound
    for text in _FOUND.get(name, ()):
        target(text)

    @_examples(number)
    @given(mutated(seeds))
    def structured(value):
        data = _bytes(name, value)
        if data is not None:
            target(data)

    @_examples(number)
    @given(st.sampled_from(texts), st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=9))
    def damaged(text, at, length, instead):
        at %= len(text) + 1
        target(text[:at] + instead + text[at + length :])

    if not isinstance(seeds[0], str):
        structured()
    damaged()


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_read_is_refused_in_words(name):
    _tried(name, 60)


@pytest.mark.stress
@pytest.mark.parametrize("name", SEEDS)
def test_what_is_read_is_refused_in_words_many_times(name):
    _tried(name, FULL)


WORDS = (
    *("build", "status", "explain", "show", "list", "graph", "report", "diff", "verify", "clean"),
    *("cache", "info", "gc", "cat", "add", "remove", "export", "makefile", "merge", "help", "init"),
    *("invalidate", "-n", "-q", "-v", "-s", "-j", "-j2", "-B", "--json", "-f", "-C", "--shard"),
    *("--changed-since", "--depfile", "--executor", "--log-format", "--max-failures", "-x", "-k"),
    *("a.ipynb", "b", ".", "..", "/", "*", "", "\x1b[31m", "\udcff", "-", "--", "0", "-1", "1/0"),
    *("HEAD", "10" * 20, "a" * 5000, "\x00", "a\nb", "--format", "dot", "--html", "--durations"),
)


def _asked(project, monkeypatch, number):
    project.config("")
    project.write("a.ipynb", ipynb(["print(1)"]))

    @_examples(number)
    @given(st.lists(st.sampled_from(WORDS), max_size=5))
    def asked(words):
        done = project.nbbuild(*words)
        assert done.status in (0, 1, 2, 3), words
        said = done.out + done.err
        assert "itself failed" not in said and "this is a bug" not in said, (words, said)
        assert "Traceback" not in said, (words, said)
        assert "\x1b" not in said, words

    with forking(monkeypatch):
        asked()


def test_what_is_asked_is_done_or_refused_in_words(project, monkeypatch):
    _asked(project, monkeypatch, 25)


@pytest.mark.stress
def test_what_is_asked_is_done_or_refused_in_words_many_times(project, monkeypatch):
    _asked(project, monkeypatch, FULL // 4)
