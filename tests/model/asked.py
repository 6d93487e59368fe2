"""What the composed models are asked, and the arms they are asked with."""

from __future__ import annotations

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.templates import Turn

OPENING = (1, 2, 3)
TURNS = (
    Turn((10, 11, 12), (13, 14, 9)),
    Turn((20, 21), (22, 9)),
    Turn((30, 31, 32, 33, 34), (35, 36, 37, 38, 9)),
)
ARMS = [NoneSettings(), LoraSettings(rank=2), MoresSettings(rank=2)]
