"""Install a small distribution with readers, for a test: a module and a .dist-info folder."""

import importlib
import sys


def install(monkeypatch, site, module, text, groups, *, version="1.0"):
    """Put `module` with `text` into the folder `site`, and its entry points: group → name → value.

    A second call replaces what the first one wrote.
    """
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(text)
    for old in site.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    folder = site / f"{module}-{version}.dist-info"
    folder.mkdir()
    name = module.replace("_", "-")
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, module, raising=False)
    importlib.invalidate_caches()
    return site
