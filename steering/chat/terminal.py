"""A conversation in the terminal: a question a line, answers as they come, and lines with / that change what is asked.

Ctrl-C cuts an answer short; at an empty prompt it ends the conversation, as the end of input and /quit do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from steering.chat.pictures import Picture, WorldPictures
from steering.chat.runs import Finished, run_named
from steering.chat.session import Session, nearest_strength, told_fault
from steering.errors import ParamsError, SteeringError, nearest
from steering.methods.strength import REACH
from steering.plan import Plan

HELP = """\
  a line             a question about the picture; each is asked alone
  /picture FILE      ask about this picture (or a data set's, as /pictures names it); /picture alone: about none
  /pictures          pictures of the world's test set, with a question each
  /strength 0.5      how strongly the method acts: 0 the frozen base with its connector, 1 as trained, beyond that more
  /arm NAME          ask another arm on the same base, or another run in full: world/data/arm/seedN
  /arms              the runs that are finished
  /quit              end (as Ctrl-C and Ctrl-D do)"""


class Talk:
    """One person's conversation. read(prompt) gives a line, or raises EOFError; write(text) shows it at once."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        runs: Sequence[Finished],
        run: Finished,
        *,
        read: Callable[[str], str],
        write: Callable[[str], None],
    ):
        self.session, self.plan, self.runs, self.run = session, plan, runs, run
        self.picture: Picture | None = None
        self.strength = 1.0
        self._read, self._write = read, write
        self._orders: dict[str, Callable[[str], None]] = {
            "/help": lambda words: self._tell(HELP),
            "/picture": self.show,
            "/pictures": lambda words: self._tell(self._pictures()),
            "/strength": self.steer,
            "/arm": self.switch,
            "/arms": lambda words: self._tell("\n".join(f"  {run.name} ({run.method})" for run in self.runs)),
        }

    def hold(self) -> None:
        """The whole conversation, until it is ended."""
        self._tell(f"{self.run.name} ({self.run.method}). A question a line; /help tells the rest.")
        while True:
            try:
                line = self._read("> ").strip()
            except (EOFError, KeyboardInterrupt):
                self._tell("")
                return
            if line == "/quit":
                return
            self.take(line)

    def take(self, line: str) -> None:
        """One line; a fault of it is told, and the conversation goes on."""
        try:
            if line.startswith("/"):
                self._order(line)
            elif line:
                self.ask(line)
        except SteeringError as error:
            self._tell(str(error))

    def ask(self, question: str) -> None:
        try:
            with closing(self.session.answer(self.run, self.picture, question, strength=self.strength)) as pieces:
                for piece in pieces:
                    self._write(piece)
        except KeyboardInterrupt:
            self._write(" (cut short)")
        self._tell("")

    @property
    def pictures(self) -> WorldPictures:
        return WorldPictures(self.plan, self.run.run.world)

    def show(self, path: str) -> None:
        self.picture = self.pictures.file(path) if path else None
        if self.picture:
            self._tell(f"  {path}: {self.picture.image.width} x {self.picture.image.height} pixels")
        else:
            self._tell("  no picture")

    def steer(self, number: str) -> None:
        try:
            strength = float(number)
        except ValueError:
            raise ParamsError([f"strength: {number or 'nothing'}; allowed a number from 0 on"]) from None
        if fault := told_fault(self.run, strength):
            raise ParamsError([fault])
        self.strength = strength
        nothing = "; the control edits nothing, so nothing changes" if REACH[self.run.method] == "nothing" else ""
        self._tell(f"  strength {strength:g}{nothing}")

    def switch(self, name: str) -> None:
        chosen = run_named(name, self.runs, self.run)
        self.session.load(chosen)
        if chosen.run.world != self.run.run.world:
            self.picture = None
        self.run, asked = chosen, self.strength
        self.strength = nearest_strength(chosen, asked)
        moved = f"; strength {self.strength:g}, for it has no {asked:g}" if self.strength != asked else ""
        self._tell(f"  {chosen.name} ({chosen.method}){moved}")

    def _order(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word not in self._orders:
            allowed = [*self._orders, "/quit"]
            raise ParamsError([f"{word}: unknown; allowed {', '.join(allowed)}{nearest(word, allowed)}"])
        self._orders[word](rest.strip())

    def _pictures(self) -> str:
        found = [f"  {one.picture}  {' '.join(one.questions[0].split())}" for one in self.pictures.suggested()]
        return "\n".join(found) or f"  the data of {self.run.run.world} is not here; allowed /picture FILE"

    def _tell(self, text: str) -> None:
        self._write(f"{text}\n")
