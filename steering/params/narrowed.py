"""Experiments with fewer training seeds than params.yaml asks for: what a night has room for, or what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steering.errors import ParamsError
from steering.params.loading import Params


def of_first_seeds(params: Params, count: object) -> Params:
    """*params* with the first *count* training seeds of each experiment, with all of them for None.

    Raises ParamsError for what is no whole number from 1.
    """
    if count is None:
        return params
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ParamsError([f"first_seeds: {count} is not allowed; allowed a whole number from 1"])
    return with_seeds(params, {name: told.seeds[:count] for name, told in params.experiments.items()})


def with_seeds(params: Params, seeds: Mapping[str, Sequence[int]]) -> Params:
    """*params* with the training *seeds* named for each experiment; those that are not named keep theirs."""
    fewer = {name: params.experiments[name].model_copy(update={"seeds": list(own)}) for name, own in seeds.items()}
    return params.model_copy(update={"experiments": params.experiments | fewer})
