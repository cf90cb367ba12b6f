"""Names that shells, terminals, make, TOML, HTML, XML or file systems may trip over."""

import itertools

PIECES = (
    *("-rf", "--help", "-", "--", "-j4", "@file", "~", "!x", "#c", "a=b", "null", "true", "0"),
    *("a\nb", "a\tb", "\r", "\x01", "\x7f", "\x1b[31mred", "\x1b]0;title\x07", "\x9b31m"),
    *("bidi\u202etxt", "\u2066x", "\u200b", "\ufeff", "\u2028", "\U000e0041", "\udcff\udcfe"),
    *("quote'\"", "'''", '"""', "$(touch pwned)", "`touch pwned`", "a;touch pwned;b", "a&b|c>d"),
    *("make$@%:#x", "back\\slash", "sp ace", " lead", "trail ", "star*", "**", "q?x", "[a]", "{b}"),
    *("%s%d", "{branch}", "é", "e\u0301", "ß" * 60, "x" * 200, "con", "NUL", "dot.", "a..b"),
    *("<script>alert(1)<", "&amp;", "]]>", "<!--", "a,b", "${HOME}", "\\u202e", "日本語", "🏳️‍🌈"),
)
RAW = (
    *(chr(code).encode() for code in range(32) if chr(code) not in "\t\n"),
    *(text.encode() for text in "\x7f\x9b\u202e\u2066\u200b\ufeff\u2028\U000e0041"),
)
"""What may never reach a terminal."""


def names(number):
    """Return so many names, each of at most 200 bytes, none like another."""
    found = dict.fromkeys(PIECES)
    for one, other in itertools.product(PIECES, PIECES):
        if len(found) >= number:
            break
        both = one + other
        if len(both.encode("utf-8", "surrogateescape")) <= 200:
            found[both] = None
    return [*found][:number]


def raw(text):
    """Return what in `text`, bytes, would control or deceive a terminal."""
    return [one for one in RAW if one in text]
