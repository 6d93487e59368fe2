"""Ask a finished run about a picture, in the terminal or on a page of this machine; its method's strength is a choice.

RUN is world/data/arm/seedN, or the name of an arm beside the default: the first finished run of the default experiment
whose method edits.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from steering.command_line import Parser, answer
from steering.errors import ParamsError
from steering.job import offline
from steering.params import load
from steering.plan import Plan

PORT = 7860


def parser() -> Parser:
    asked = Parser(prog="python -m stages.chat", description=__doc__, allow_abbrev=False)
    asked.add_argument("run", nargs="?", metavar="RUN", help="world/data/arm/seedN, or an arm beside the default")
    asked.add_argument("--list", action="store_true", help="the finished runs, and no more")
    asked.add_argument("--picture", metavar="FILE", help="what the first question is about")
    asked.add_argument("--strength", type=float, default=1.0, help="0: the frozen base; 1: as trained (default)")
    asked.add_argument("--page", action="store_true", help="a page for the browser of this machine")
    asked.add_argument("--port", type=int, default=PORT, help=f"where the page is (default: {PORT})")
    asked.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    return asked


def main(words: Sequence[str]) -> str:
    """Holds the conversation; the words to part with. Raises SteeringError for what there is not."""
    from steering.chat.runs import default_run, finished_runs, run_named

    asked = parser().strict(words)
    plan, runs = Plan(load(asked.params)), finished_runs()
    run = default_run(plan, runs)
    if asked.list:
        return "\n".join(f"{other.name} ({other.method})" for other in runs)
    if asked.run:
        run = run_named(asked.run, runs, run)
    if asked.page and (asked.picture or asked.strength != 1):
        raise ParamsError(["--page: with --picture or --strength; allowed without, the page has both"])
    offline()
    warnings.simplefilter("ignore", FutureWarning)  # what libraries plan is no part of a conversation
    try:
        return _page(plan, runs, run, asked.port) if asked.page else _terminal(plan, runs, run, asked)
    except KeyboardInterrupt:
        return ""


def _terminal(plan, runs, run, asked) -> str:
    import readline  # noqa: F401  # so that lines can be edited and called back

    from steering.chat.session import Session
    from steering.chat.terminal import Talk

    session = Session()
    talk = Talk(session, plan, runs, run, read=input, write=_write)
    if asked.picture:
        talk.show(asked.picture)
    if asked.strength != 1:
        talk.steer(str(asked.strength))
    session.load(run)
    talk.hold()
    return ""


def _page(plan, runs, run, port: int) -> str:
    from steering.chat.answering import Answering
    from steering.chat.pictures import WorldPictures
    from steering.chat.server import Page
    from steering.chat.session import Session

    session = Session()
    with Page(Answering(session, WorldPictures(plan, run.run.world), runs, run), port) as page:
        session.load(run)
        print(f"{run.name} at {page.address} - this machine alone can reach it; Ctrl-C ends it", flush=True)
        page.serve_forever()
    return ""


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    answer(main)
