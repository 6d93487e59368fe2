"""A connector's warm start without the language model: visual tokens near the words of their captions, in seconds.

    minimise  | mean_v connector(x)_v  -  mean_w E[w] |^2     over the caption's words w that tell pictures apart

E are the frozen word embeddings. The mean over a picture's visual tokens is regressed on the mean over its caption's
words, so no word needs to be grounded; a visual token depends mostly on its own patch, and over many pictures each
patch can only explain the words that come and go with it. Words that occur in nearly every caption tell nothing.
Ours, not the papers': it replaces most of the caption steps where the budget is minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from steering.model.connectors import Connector
from steering.progress import progress
from steering.train.order import Order

COMMON = 0.9  # a token in more than this share of captions is left out


def warm_start(
    connector: Connector,
    embeddings: Tensor,
    captions: Sequence[Sequence[int]],
    *,
    features: Callable[[int], Tensor],
    settings: Mapping[str, Any],
    seed: int,
) -> float:
    """Train *connector* in place; returns the last step's squared error over the targets' variance (1: no gain).

    captions: token ids of each caption; features(i): (v, c) of the i-th picture; embeddings: (vocabulary, d).
    """
    words = telling(captions)
    targets = torch.stack([embeddings[list(ids)].float().mean(0) for ids in words])  # (n, d)
    spread = targets.var(0).mean()
    order = Order(len(words), settings["pictures"], seed=seed)
    optimiser = torch.optim.AdamW(connector.parameters(), lr=settings["learning_rate"], weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings["steps"])
    error = torch.ones(())
    for step in progress(range(settings["steps"]), "warm start"):
        chosen = order.batch(step)
        visual = connector(torch.stack([features(i) for i in chosen])).mean(1)  # (p, d)
        error = functional.mse_loss(visual, targets[chosen]) / spread
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        schedule.step()
    return float(error.detach())


def telling(captions: Sequence[Sequence[int]]) -> list[list[int]]:
    """Each caption without the tokens that nearly every caption has; the whole caption where nothing would be left."""
    seen = Counter(token for ids in captions for token in set(ids))
    common = {token for token, count in seen.items() if count > COMMON * len(captions)}
    return [[token for token in ids if token not in common] or list(ids) for ids in captions]
