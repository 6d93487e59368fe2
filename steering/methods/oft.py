"""OFT by PEFT: the inputs of q, k and v, or of named linears, are turned by blocks of orthogonal matrices.

    y = W (R x) + b    R = diag(R_1 .. R_n),  R_i = (I - Q_i)(I + Q_i)^-1,  Q_i = -Q_i^T    (n = `blocks`)

`blocks` is the number of blocks of each target, so a block is in_features / blocks wide; a width that does not
divide is refused, where PEFT would quietly take another block size. The Cayley transform is the exact one, as in
the PEFT releases of the papers' time: today's default, five terms of its Neumann series, is orthogonal only
while Q is small, and the papers' blocks are so wide (160 to 320) that training leaves that range.

Two conventions of counting: PEFT stores the skew-symmetric half of a block, k (k - 1) / 2 numbers, and that is
what is trained here; the papers counted full blocks, k^2 (`OftSettings.papers_count`). The rotations are the same.
It starts as the identity (Q = 0), so the seed decides nothing.
"""

from __future__ import annotations

from peft import OFTConfig, PeftModel
from torch import nn

from steering.arms import OftSettings
from steering.methods.linears import checked_shape, pattern_of
from steering.methods.peft_registry import seeded_peft_model


def attach(language_model: nn.Module, settings: OftSettings, *, seed: int) -> PeftModel:
    """*language_model* with OFT, changed in place. Raises ParamsError where the blocks do not divide an input."""
    names = settings.names(checked_shape(language_model, settings))
    config = OFTConfig(
        task_type="CAUSAL_LM",
        r=settings.blocks,
        oft_block_size=0,  # PEFT's sign for "in_features / r"
        use_cayley_neumann=False,
        target_modules=pattern_of(language_model, names),
        bias="none",
    )
    return seeded_peft_model(language_model, config, seed=seed)
