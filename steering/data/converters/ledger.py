"""What a conversion drops and repairs, counted by kind, and when that is too much.

Policy `strict` takes no fault at all; `drop` repairs and drops, up to a share of the rows. Neither is silent: every
kind is counted in the data set's facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from steering.errors import DataError

POLICIES = ("strict", "drop")
SHOWN = 10


class Unusable(Exception):
    """A row that no rule repairs; its text is the kind of fault."""


@dataclass
class Tally:
    """How many faults of one kind there are, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(where)


class Ledger:
    """Faults by kind. dropped: rows that are gone; repaired: rows that stay, mended by the rule the kind names."""

    def __init__(self, policy: str, dropped_share: float):
        self.policy, self.dropped_share = policy, dropped_share
        self.dropped: dict[str, Tally] = {}
        self.repaired: dict[str, Tally] = {}

    def drop(self, kind: str, where: str) -> None:
        self.dropped.setdefault(kind, Tally()).add(where)

    def repair(self, kind: str, where: str) -> None:
        self.repaired.setdefault(kind, Tally()).add(where)

    @property
    def gone(self) -> int:
        return sum(tally.count for tally in self.dropped.values())

    def check(self, name: str, rows: int) -> None:
        """Raises DataError, with the first ten of each kind, where the policy does not allow what was found."""
        gone = self.gone
        if self.policy == "strict" and (self.dropped or self.repaired):
            found = f"{gone} rows to drop, {sum(tally.count for tally in self.repaired.values())} to repair"
            raise DataError(self._report(f"{name}: {found} of {rows}; policy strict allows none (allowed: drop)"))
        if gone > self.dropped_share * rows:
            allowed = f"allowed is a share of {self.dropped_share:g} (setting dropped_share)"
            raise DataError(self._report(f"{name}: {gone} of {rows} rows would be dropped; {allowed}"))

    def counts(self) -> dict[str, dict[str, int]]:
        """{"dropped": {kind: rows}, "repaired": {kind: rows}}, kinds in alphabetical order."""
        both = {"dropped": self.dropped, "repaired": self.repaired}
        return {name: {kind: found[kind].count for kind in sorted(found)} for name, found in both.items()}

    def _report(self, head: str) -> str:
        lines = [head]
        for name, found in (("dropped", self.dropped), ("repaired", self.repaired)):
            for kind, tally in sorted(found.items()):
                more = f", and {tally.count - SHOWN} more" if tally.count > SHOWN else ""
                lines.append(f"  {name}: {kind}: {tally.count}: {', '.join(tally.first)}{more}")
        return "\n".join(lines)
