"""What the settings of every method offer: the parameters they train, by site, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from steering.arms.shape import LanguageShape, VisionShape


class Settings(BaseModel):
    """Settings of one method; frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def sites(self, language: LanguageShape, vision: VisionShape) -> dict[str, int]:
        """Trainable parameters by where they act; the connector's own weights are never among them."""
        return {}

    def trainable(self, language: LanguageShape, vision: VisionShape) -> int:
        """The papers' "TP": the method's own trainable parameters, the connector left out."""
        return sum(self.sites(language, vision).values())

    def dead(self, language: LanguageShape, vision: VisionShape) -> int:
        """How many of the trainable parameters never get a gradient, being where no later layer reads."""
        return 0

    def papers_count(self, language: LanguageShape, vision: VisionShape) -> int:
        """What the paper prints for these settings where its convention differs from what is trained today."""
        return self.trainable(language, vision)

    def faults(self, language: LanguageShape, vision: VisionShape) -> list[str]:
        """What is wrong with these settings for a model of these sizes, one line each."""
        return []


def listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def rank_faults(rank: int, width: int, *, key: str = "rank", of: str = "hidden size") -> list[str]:
    return [] if rank <= width else [f"{key}: {rank} is above the {of}; allowed 1..{width}"]
