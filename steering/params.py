"""The language of params.yaml: typed, unknown keys refused, every fault told at once, with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from steering.arms import Arm, LanguageShape
from steering.errors import ParamsError, nearest
from steering.faults import readable
from steering.yaml_strict import load_yaml

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
RESERVED = {"all", "fetch", "language_model", "vision_encoder", "dataset", "features", "mixture", "connector", "tune"}
RESERVED |= {"predict", "score", "attention", "report", "tracking_database", "track"}
RESERVED |= {"phase_data", "phase_pretrain", "phase_tune", "phase_report"}


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Something fetched by name, version and checksum."""

    kind: Literal["pypi"]
    package: str
    version: str
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    attribution: str


class LanguageModel(Part):
    """A causal LM: where its weights are and its transformers config; `attention` is transformers' name."""

    source: Name
    member: str
    config: dict[str, Any]
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    attention: Literal["eager", "sdpa"] = "sdpa"

    @property
    def shape(self) -> LanguageShape:
        config = self.config
        heads = config["num_attention_heads"]
        return LanguageShape(
            family="phi" if config["model_type"] == "phi" else "llama",
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            ffn=config["intermediate_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads", heads),
            vocabulary=config["vocab_size"],
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
    faults = list(_extend_worlds(raw))
    if faults:
        raise ParamsError(f"{path}: {fault}" for fault in faults)
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise ParamsError(f"{path}: {line}" for line in readable(error, Params, raw)) from None
    faults = list(_cross_check(params))
    if faults:
        raise ParamsError(f"{path}: {fault}" for fault in faults)
    return params


def _extend_worlds(raw: dict[str, Any]) -> Iterator[str]:
    """Lay each world that `extends` another over it, in place; a key given null is taken away."""
    worlds = raw.get("worlds")
    if not isinstance(worlds, dict):
        return
    for name, world in worlds.items():
        base = world.pop("extends", None) if isinstance(world, dict) else None
        if base is None:
            continue
        if base not in worlds or base == name or "extends" in worlds[base]:
            yield f"worlds.{name}.extends: {base} is no complete world above it{nearest(str(base), worlds)}"
            continue
        worlds[name] = _laid_over(worlds[base], world)


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


def _cross_check(params: Params) -> Iterator[str]:
    yield from _known("default", [params.default], params.experiments)
    for name, model in params.language_models.items():
        yield from _known(f"language_models.{name}.source", [model.source], params.sources)
    for name, encoder in params.vision_encoders.items():
        yield from _known(f"vision_encoders.{name}.source", [encoder.source], params.sources)
    for name, world in params.worlds.items():
        yield from _check_world(f"worlds.{name}", world, params)
    for name, experiment in params.experiments.items():
        yield from _check_experiment(f"experiments.{name}", name, experiment, params)


def _check_world(where: str, world: World, params: Params) -> Iterator[str]:
    yield from _known(f"{where}.language_model", [world.language_model], params.language_models)
    yield from _known(f"{where}.vision_encoder", [world.vision_encoder], params.vision_encoders)
    yield from _known(f"{where}.pretrain.dataset", [world.pretrain.dataset], world.datasets)
    for name, dataset in world.datasets.items():
        yield from _known(f"{where}.datasets.{name}.sources", dataset.sources, params.sources)
    for name, benchmark in world.benchmarks.items():
        yield from _known(f"{where}.benchmarks.{name}.dataset", [benchmark.dataset], world.datasets)
    for name, mixture in world.mixtures.items():
        yield from _known(f"{where}.mixtures.{name}.shares", mixture.shares, world.benchmarks)


def _check_experiment(where: str, name: str, experiment: Experiment, params: Params) -> Iterator[str]:
    if name in RESERVED:
        yield f"{where}: {name} is the name of a rule; allowed: any other name"
    yield from _known(f"{where}.world", [experiment.world], params.worlds)
    yield from _known(f"{where}.arms", experiment.arms, params.arms)
    yield from _known(f"{where}.control", [experiment.control], experiment.arms)
    for field, values in (("arms", experiment.arms), ("seeds", experiment.seeds)):
        yield from (f"{where}.{field}: {v} is given twice; once is allowed" for v in set(values) if values.count(v) > 1)
    world = params.worlds.get(experiment.world)
    if world is None:
        return
    yield from _known(f"{where}.data", [experiment.data], world.mixtures)
    yield from _known(f"{where}.attention.benchmark", [experiment.attention.benchmark], world.benchmarks)
    if world.language_model not in params.language_models or world.vision_encoder not in params.vision_encoders:
        return
    shape, tokens = (
        params.language_models[world.language_model].shape,
        params.vision_encoders[world.vision_encoder].tokens,
    )
    for arm in experiment.arms:
        for fault in params.arms[arm].faults(shape, tokens) if arm in params.arms else []:
            yield f"arms.{arm}.{fault} (in {where}, world {experiment.world})"


def _known(where: str, names: Any, allowed: Mapping[str, Any] | list[str]) -> Iterator[str]:
    for name in names:
        if name not in allowed:
            yield f"{where}: {name} is unknown; allowed: {', '.join(allowed)}{nearest(name, allowed)}"
