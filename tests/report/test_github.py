"""The log of GitHub Actions: what the runner obeys comes from us alone."""

import io

from nbbuild.events import Ended, Noted
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.report import Options, observer


def failure(message, traceback="", **more):
    return Outcome(
        task="a,b.ipynb",
        source="a,b.ipynb",
        kind=OutcomeKind.FAILED,
        seconds=1.0,
        failure=Failure("error", message, 1, traceback, execution_count=2, **more),
    )


def shown(*outcomes, notes=()):
    stream = io.StringIO()
    tell = observer(
        stream=stream,
        options=Options(),
        log_format="github",
        located=lambda outcome: (f"book/{outcome.source}", 7),
        environ={},
    )
    with tell:
        for note in notes:
            tell(Noted("", note))
        for outcome in outcomes:
            tell(Ended(outcome))
        tell.finish(Report(outcomes=outcomes, seconds=1.0))
    return stream.getvalue().splitlines()


def test_a_failure_is_folded_and_annotated_at_its_line():
    assert shown(failure("ValueError: 50%\nof it", "Traceback\n  boom", hint="look")) == [
        "failed a,b.ipynb after 1.0 s, in cell 2 (In [2]): ValueError: 50%\\nof it",
        "::group::why a,b.ipynb failed",
        "    Traceback",
        "      boom",
        "    hint: look",
        "::endgroup::",
        "::error file=book/a%2Cb.ipynb,line=7,title=a%2Cb.ipynb%2C cell 2 (In [2])"
        "::ValueError: 50%25%0Aof it",
        "1 failed in 1.0 s",
    ]


def test_a_notebook_gives_the_runner_no_commands():
    evil = "::add-path::/evil"
    lines = shown(
        failure(f"x\n{evil}\n##[error]y", f"{evil}\n  ##[add-path]/evil\n\u2003::endgroup::"),
        notes=(f"##[warning]z\n{evil}",),
    )
    obeyed = [line.split("::")[1].split()[0] for line in lines if line.lstrip().startswith("::")]
    assert obeyed == ["group", "endgroup", "error"]
    assert "##[" not in "\n".join(line for line in lines if not line.startswith("::error"))
    assert lines[:2] == ["note: ## [warning]z", ": :add-path::/evil"]
