"""Find the files that are paired with a notebook, as Jupytext pairs them."""

from __future__ import annotations

from pathlib import Path

from jupytext.formats import long_form_multiple_formats
from jupytext.paired_paths import InconsistentPath, find_base_path_and_format, paired_paths

from nbbuild.errors import NotebookError
from nbbuild.notebook.loads import relative
from nbbuild.notebook.text import configuration


def pair(root: Path, source: str, formats: str) -> tuple[str, ...]:
    """Return the other existing files in the Jupytext pair of `source`; see `pairable`."""
    return tuple(path for path in pairable(root, source, formats) if (root / path).is_file())


def pairable(root: Path, source: str, formats: str) -> tuple[str, ...]:
    """Return where the other files of the pair of `source` would be, relative to `root`, sorted.

    `formats` comes from the notebook's metadata ("ipynb,md:myst"); if it is empty, the Jupytext
    configuration decides. Raises `NotebookError` for formats that Jupytext does not know.
    """
    main = str((root / source).absolute())
    try:
        if not formats:
            config = configuration(root, source)
            formats = (config.default_formats(main) if config is not None else None) or ""
        known = long_form_multiple_formats(formats, {}, auto_ext_requires_language_info=False)
        if not known:
            return ()
        _, own = find_base_path_and_format(main, known)
        paths = [Path(path) for path, _ in paired_paths(main, own, known)]
    except InconsistentPath:
        # The notebook was copied or renamed: Jupytext then takes it as unpaired, too.
        return ()
    except ValueError as error:
        raise NotebookError(
            f"'{source}' is paired with formats that Jupytext does not know",
            facts=[("formats", formats), ("reason", str(error)[:300])],
            hint="correct `formats` in its jupytext metadata, or in the Jupytext configuration",
        ) from error
    return tuple(sorted(relative(root, path) for path in paths if str(path) != main))
