"""How closely a run was watched, as a later version may say it, too."""

import itertools

from nbbuild.watching.levels import LEVELS, closeness, in_words


def test_levels_are_in_order_and_each_has_its_words():
    assert all(closeness(less) < closeness(more) for less, more in itertools.pairwise(LEVELS))
    assert [in_words(level) for level in LEVELS] == [
        "was not watched",
        "was watched in Python only",
        "was watched down to its system calls",
    ]


def test_a_level_of_a_later_version_is_below_all_that_is_known():
    assert closeness("by a demon") < closeness("none")
    assert (
        in_words("by a demon") == "was watched in a way that this version of nbbuild does not know"
    )
