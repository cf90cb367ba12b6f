"""Drive one of the targets of fuzz_targets.py with atheris (`pip install atheris`).

    python tests/stress/atheris_fuzz.py NAME [options of libFuzzer]

`-max_total_time=60` ends it after a minute. What it finds is in the folder where it was started.
"""

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nbbuild"], enable_loader_override=False):
    from fuzz_targets import SEEDS


def main(name, *options):
    target, seeds = SEEDS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            text = seed if isinstance(seed, str) else json.dumps(seed)
            (Path(corpus) / str(number)).write_text(text)
        atheris.Setup([sys.argv[0], corpus, *options], target)
        atheris.Fuzz()


main(*sys.argv[1:])
