"""The language of params.yaml: typed, unknown keys refused, every fault told at once, with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from steering.arms import Arm, LanguageShape
from steering.errors import ParamsError, nearest
from steering.faults import readable
from steering.references import entries, lookup, name_faults, names_in
from steering.yaml_strict import load_yaml

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(Part):
    """Something fetched by name, version and checksum."""

    kind: Literal["pypi"]
    package: str
    version: str
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    attribution: str


class LanguageConfig(BaseModel):
    """transformers' configuration: the sizes that parameter counts need, and whatever else transformers takes."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model_type: str
    hidden_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int | None = Field(None, ge=1, exclude_if=lambda heads: heads is None)
    intermediate_size: int = Field(ge=1)
    vocab_size: int = Field(ge=1)


class LanguageModel(Part):
    """A causal LM: where its weights are and its transformers config; `attention` is transformers' name."""

    source: Name
    member: str
    config: LanguageConfig
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    attention: Literal["eager", "sdpa"] = "sdpa"

    @property
    def shape(self) -> LanguageShape:
        config = self.config
        return LanguageShape(
            family="phi" if config.model_type == "phi" else "llama",
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            ffn=config.intermediate_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads or config.num_attention_heads,
            vocabulary=config.vocab_size,
        )


class VisionEncoder(Part):
    """A vision encoder; `tokens` visual tokens per picture, each `width` features wide."""

    kind: Literal["efficientnet_lite0", "clip", "siglip"]
    source: Name
    member: str
    config: dict[str, Any]
    tokens: int = Field(ge=1)
    width: int = Field(ge=1)


class Dataset(Part):
    """A data set and the builder that writes its official files from sources."""

    builder: Literal["icons", "easy_vqa", "countries"]
    sources: list[Name]
    settings: dict[str, int] = {}


class Share(Part):
    """How many questions are drawn, and at most how many about one picture; the same pictures serve all shares."""

    questions: int = Field(ge=1)
    per_picture: int = Field(ge=1)


class Benchmark(Part):
    """A benchmark: the form of its files, where they are, and the share of a split that is asked.

    `instruction` false asks without the official sentence on how to answer ("Answer the question using a single word
    or phrase."), in training and testing alike: half the tokens, and another protocol.
    """

    form: Literal["vqa", "pope", "iconqa", "scienceqa", "mmlu"]
    dataset: Name
    folder: str = "."
    subset: str | None = None
    instruction: bool = True
    ask: Share
    title: str


class Recipe(Part):
    """One training stage; see steering.train.optimiser.Recipe."""

    steps: int = Field(ge=1)
    conversations: int = Field(ge=1)
    connector_learning_rate: float = Field(gt=0)
    method_learning_rate: float = Field(gt=0)
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    independent_turns: bool = True
    checkpoint_every: int = Field(50, ge=1)


class WarmStart(Part):
    """Steps without the language model that bring visual tokens near the words of their captions."""

    steps: int = Field(ge=1)
    pictures: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


class Pretrain(Part):
    """Connector pretraining on captions: the language model frozen, the connector trained."""

    dataset: Name
    captions: str
    template: Literal["plain"] = "plain"
    seed: int = 0
    warm_start: WarmStart | None = None
    recipe: Recipe


class Mixture(Part):
    """Training conversations: a share of each benchmark's training split, up to `turns` questions a conversation."""

    shares: dict[Name, Share]
    turns: int = Field(ge=1)
    seed: int = 0


class World(Part):
    """A model, its data sets, its benchmarks and its budget."""

    language_model: Name
    vision_encoder: Name
    connector: Literal["linear", "mlp2_gelu", "mlp2_norm"]
    template: Literal["chatml", "vicuna", "phi"]
    datasets: dict[Name, Dataset]
    benchmarks: dict[Name, Benchmark]
    pretrain: Pretrain
    mixtures: dict[Name, Mixture]
    tune: Recipe
    threads: int = Field(2, ge=1)
    gpus: int = Field(0, ge=0)


class Attention(Part):
    """Where LMAR is measured: a benchmark's test questions, that many of them."""

    benchmark: Name
    questions: int = Field(ge=2)


class Experiment(Part):
    """A table or figure: which arms, data, benchmarks and seeds it needs."""

    title: str
    question: str
    world: Name
    data: Name
    arms: list[Name] = Field(min_length=1)
    control: Name = "none"
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    split: Literal["val", "test"] = "test"
    attention: Attention


class Params(Part):
    """All of params.yaml."""

    default: Name
    sources: dict[Name, Source]
    language_models: dict[Name, LanguageModel]
    vision_encoders: dict[Name, VisionEncoder]
    worlds: dict[Name, World]
    arms: dict[Name, Arm]
    experiments: dict[Name, Experiment]


def load(path: Path = Path("params.yaml")) -> Params:
    """The validated contents of *path*. Raises ParamsError with all faults, one a line."""
    raw = load_yaml(path)
    bases = {name: lookup(world, "extends") for name, world in entries(raw, "worlds")}
    faults = list(_extend_worlds(raw))
    try:
        params = Params.model_validate(_without_broken(raw, bases), strict=True)
    except ValidationError as error:
        faults += readable(error, Params, raw)
    faults += [*name_faults(raw), *_arm_faults(raw)]
    if faults:
        raise ParamsError(f"{path}: {fault}" for fault in _without_inherited(faults, bases))
    return params


def _extend_worlds(raw: dict[str, Any]) -> Iterator[str]:
    """Lay each world that `extends` another over it, in place; a key given null is taken away.

    A world whose base is not there becomes empty, so that nothing but its base is found fault with.
    """
    worlds = dict(entries(raw, "worlds"))
    for name, world in worlds.items():
        base = lookup(world, "extends")
        if base is None:
            continue
        raw["worlds"][name] = {}
        complete = lookup(raw, "worlds", base) if base != name else None
        if not isinstance(complete, dict) or not complete or "extends" in complete:
            yield f"worlds.{name}.extends: {base} is no complete world above it{nearest(str(base), map(str, worlds))}"
            continue
        raw["worlds"][name] = _laid_over(complete, {key: value for key, value in world.items() if key != "extends"})


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


def _without_broken(raw: dict[str, Any], bases: Mapping[str, Any]) -> dict[str, Any]:
    """*raw* without the worlds that could not be extended."""
    if not isinstance(raw.get("worlds"), dict):
        return raw
    kept = {name: world for name, world in raw["worlds"].items() if world or bases.get(name) is None}
    return raw | {"worlds": kept}


def _without_inherited(faults: list[str], bases: Mapping[str, Any]) -> Iterator[str]:
    """*faults* without those of a world that its base, which is told too, has handed down."""
    for fault in faults:
        name, _, rest = fault.removeprefix("worlds.").partition(".")
        handed_down = fault.startswith("worlds.") and f"worlds.{bases.get(name)}.{rest}" in faults
        if not handed_down or bases[name] == name:
            yield fault


def _arm_faults(raw: dict[str, Any]) -> Iterator[str]:
    """Settings of an arm that do not fit the model of a world it is used in."""
    for name, experiment in entries(raw, "experiments"):
        world = lookup(raw, "worlds", lookup(experiment, "world"))
        model = _valid(LanguageModel, lookup(raw, "language_models", lookup(world, "language_model")))
        encoder = _valid(VisionEncoder, lookup(raw, "vision_encoders", lookup(world, "vision_encoder")))
        if model is None or encoder is None:
            continue
        arms = {arm: _valid(Arm, lookup(raw, "arms", arm)) for arm in names_in(lookup(experiment, "arms"))}
        for arm, settings in arms.items():
            for fault in settings.faults(model.shape, encoder.tokens) if settings else []:
                yield f"arms.{arm}.{fault} (in experiments.{name}, world {experiment['world']})"


def _valid(kind: Any, value: Any) -> Any:
    """*value* as *kind*, or None where it is none; what is wrong with it is told elsewhere."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None
