"""What a notebook hands to other programs stays its own: nbbuild neither keeps nor shows it."""

SECRET = "hunter2-4711"

CODE = """
import glob, subprocess
token = os.environ["TOKEN"]
for words in (
    ["true", "-H", f"Authorization: {token}"],
    ["true", f"https://me:{token}@example.org/a?key={token}"],
    ["true", f"--password={token}*"],
):
    subprocess.run(words, check=True)
os.system(f"true --key {token}; true {token}?")
subprocess.run(["true"], check=True, env={**os.environ, "OTHER": token})
"""


def test_no_argument_and_no_value_of_a_variable_is_kept_or_shown(project, monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    project.config('[environment]\nenv = ["TOKEN"]')
    project.notebook("a.ipynb", CODE)
    said = [
        project.nbbuild(*words)
        for words in (
            ("-v",),
            ("status", "-v"),
            ("status", "--json"),
            ("explain", "-v", "a.ipynb"),
            ("show", "a.ipynb"),
            ("show", "--json", "a.ipynb"),
            ("cache", "list"),
        )
    ]
    assert said[0].ran == ["a"]
    monkeypatch.setenv("TOKEN", f"{SECRET}-new")
    said.append(project.nbbuild("explain", "a.ipynb"))
    assert "TOKEN" in said[-1].out
    assert [done for done in said if SECRET in done.out + done.err] == []
    kept = [path for path in project.root.rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []
    assert [path for path in project.root.rglob("*") if SECRET in path.name] == []
