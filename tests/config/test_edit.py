"""Editing the text of jcache.toml: nothing changes but what is meant to."""

import sys

import pytest

from nbbuild.config.edit import ConfigFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Entries and other tables in turns, which tomlkit itself would put together.
MIXED = '''\
# A title.

[project]   # these
notebooks = [
  "a.ipynb",   # first
  # then
  "b.md",
]

# About a,
# two lines.
[[notebook]]
path = "a.ipynb"
# of these
assets = ["x.csv"]   # one

# About b.
[[notebook]]
path = "b.md"
[notebook.parameters]
text = """
[no.header]
# no comment"""
# Below b.

[execution]
timeout = 3
# The end.
'''


def test_a_file_that_is_not_changed_is_the_same_to_the_last_byte():
    for text in ("", "\n", "# x\n", MIXED, MIXED.replace("\n", "\r\n"), "\ufeff" + MIXED):
        assert ConfigFile(text).text == text
    assert ConfigFile(MIXED).data == tomllib.loads(MIXED)


def test_keys_are_added_where_they_belong_and_comments_stay_with_theirs():
    file = ConfigFile(MIXED)
    file.append("notebooks", ["c.ipynb"])
    file.append("exclude", ["d.ipynb"])
    file.put("readers", {".x": "nbformat"})
    file.extend(0, "assets", ["y.csv"])
    file.extend(0, "modules", ["m"])
    file.extend(1, "artefacts", ["z"])
    file.add_entry({"path": "c.ipynb", "assets": ["k"]})
    assert file.text == (
        MIXED.replace('  "b.md",\n]\n', '  "b.md",\n  "c.ipynb",\n]\nEXCLUDE')
        .replace("EXCLUDE", 'exclude = ["d.ipynb"]\nreaders = {".x" = "nbformat"}\n')
        .replace('["x.csv"]   # one\n', '["x.csv", "y.csv"]   # one\nmodules = ["m"]\n')
        .replace('path = "b.md"\n', 'path = "b.md"\nartefacts = ["z"]\n')
        .replace(
            "# Below b.\n\n",
            '# Below b.\n\n[[notebook]]\npath = "c.ipynb"\nassets = ["k"]\n\n',
        )
    )


def test_an_entry_goes_with_its_tables_and_its_comment():
    file = ConfigFile(MIXED)
    (gone,) = file.drop_entries(lambda entry: entry["path"] == "b.md")
    assert gone == {"path": "b.md"}
    assert file.text == MIXED[: MIXED.index("# About b.")] + MIXED[MIXED.index("# Below b.") :]
    file.drop_entries(lambda entry: True)
    assert file.take("notebooks", lambda value: value == "a.ipynb") == ["a.ipynb"]
    assert file.text.startswith(
        '# A title.\n\n[project]   # these\nnotebooks = [\n  # then\n  "b.md",\n]\n\n# Below b.\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "PROJECT\nENTRY"),
        ("# x", "# x\n\nPROJECT\nENTRY"),
        ("[execution]\ntimeout = 3", "PROJECT\n[execution]\ntimeout = 3\n\nENTRY"),
        (
            "[project.readers]\n'.y' = 'k'\n",
            '[project]\nnotebooks = ["n"]\n\n'
            "[project.readers]\n'.y' = 'k'\n\".x\" = \"k\"\n\nENTRY",
        ),
        (
            "project.notebooks = ['a']\nnotebook = [{path = 'a'}]\n",
            'project.notebooks = [\'a\', "n"]\nproject.readers = {".x" = "k"}\n'
            'notebook = [{path = \'a\'}, {path = "n", assets = ["k"]}]\n',
        ),
    ],
)
def test_whatever_the_file_looks_like(before, after):
    file = ConfigFile(before)
    file.append("notebooks", ["n"])
    file.add_entry({"path": "n", "assets": ["k"]})
    file.put("readers", {".x": "k"})
    project = '[project]\nnotebooks = ["n"]\nreaders = {".x" = "k"}\n'
    entry = '[[notebook]]\npath = "n"\nassets = ["k"]\n'
    assert file.text == after.replace("PROJECT\n", project + "\n").replace("ENTRY", entry)
    tomllib.loads(file.text)


def test_line_ends_and_the_mark_at_the_beginning_stay():
    file = ConfigFile("\ufeff[project]\r\nnotebooks = ['a']\r\n")
    file.append("notebooks", ["b"])
    file.add_entry({"path": "b"})
    assert file.text == (
        '\ufeff[project]\r\nnotebooks = [\'a\', "b"]\r\n\r\n[[notebook]]\r\npath = "b"\r\n'
    )
