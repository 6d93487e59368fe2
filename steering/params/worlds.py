"""Worlds, as params.yaml tells them: data, benchmarks, recipes, and what is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from steering.params.analyses import Analyses
from steering.params.models import Name, Part, absent, nothing

Split = Literal["train", "val", "test"]
FormName = Literal[
    "vqa",
    "vqav2",
    "gqa",
    "textvqa",
    "textvqa_ocr",
    "vizwiz",
    "scienceqa",
    "scienceqa_llava",
    "iconqa",
    "iconqa_index",
    "pope",
    "coco_pope",
    "mmvet",
    "mmmu",
    "hallusion",
    "mme",
    "hellaswag",
    "hellaswag_10_shot",
    "mmlu",
    "mmlu_likelihood",
]
BuilderName = Literal[
    "icons",
    "easy_vqa",
    "countries",
    "lcs558k",
    "llava665k",
    "visionflan",
    "scienceqa",
    "vizwiz",
    "iconqa_txt",
    "iconqa_blank",
    "vqav2_eval",
    "gqa_eval",
    "textvqa_eval",
    "vizwiz_eval",
    "scienceqa_eval",
    "iconqa_eval",
    "pope_eval",
    "mmvet_eval",
    "mmmu_eval",
    "hallusion_eval",
    "mme_eval",
    "hellaswag_eval",
    "mmlu_eval",
]
MethodName = Literal["none", "full", "lora", "adapter", "oft", "ia3", "mores", "mrt", "loreft"]


class Dataset(Part):
    """A data set and the builder that writes its official files from sources.

    faulty_pictures: whether pictures that cannot be used end everything, or are left out with what is asked about them.
    """

    builder: BuilderName
    sources: list[Name]
    settings: dict[str, int | float | str] = {}
    faulty_pictures: Literal["fail", "exclude"] = "fail"


class Share(Part):
    """How many questions are drawn, and at most how many about one picture; the same pictures serve all shares."""

    questions: int = Field(ge=1)
    per_picture: int = Field(ge=1)


class Benchmark(Part):
    """A benchmark: the form of its files, where they are, and the share of a split that is asked, by default all.

    splits: the official split that stands for each of ours ({test: val} where the references of test are secret); one
    that is not listed is not there. Without any, ours have the official names.
    `instruction` false asks without the official sentence on how to answer ("Answer the question using a single word
    or phrase."), in training and testing alike: half the tokens, and another protocol.
    """

    form: FormName
    dataset: Name
    folder: str = "."
    subset: str | None = None
    splits: dict[Split, str] = Field({}, exclude_if=nothing)
    instruction: bool = True
    ask: Share | None = Field(None, exclude_if=absent)
    title: str


def _cosine(value: object) -> bool:
    return value == "cosine"


class Recipe(Part):
    """One training stage; see steering.train.optimiser.Recipe.

    method_learning_rates: methods that take another rate than method_learning_rate.
    encoder_layers: how many of the vision encoder's last layers are trained, at encoder_learning_rate.
    """

    steps: int = Field(ge=1)
    conversations: int = Field(ge=1)
    connector_learning_rate: float = Field(gt=0)
    method_learning_rate: float = Field(gt=0)
    method_learning_rates: dict[MethodName, Annotated[float, Field(gt=0)]] = Field({}, exclude_if=nothing)
    freeze_connector: bool = Field(False, exclude_if=nothing)
    encoder_layers: Annotated[int, Field(ge=0)] | Literal["all"] = Field(0, exclude_if=nothing)
    encoder_learning_rate: float | None = Field(None, gt=0, exclude_if=nothing)
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    schedule: Literal["cosine", "linear"] = Field("cosine", exclude_if=_cosine)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    independent_turns: bool = True
    group_by_length: bool = Field(False, exclude_if=nothing)
    checkpoint_every: int = Field(50, ge=1)


def _one(value: object) -> bool:
    return value == 1


class Engine(Part):
    """How a step is computed, which changes nothing of what is learnt but rounding.

    zero: DeepSpeed's stage, over `processes`, a GPU each where there are any.
    nodes: machines of a SLURM cluster that share the processes evenly.
    micro_batch: conversations a process puts through at once, by default its whole share of a step.
    workers: processes that prepare coming steps ahead.  compile: each decoder layer by torch.compile.
    """

    kind: Literal["torch", "deepspeed"] = "torch"
    zero: Literal[0, 1, 2, 3] = 0
    processes: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1, exclude_if=_one)
    micro_batch: int | None = Field(None, ge=1)
    gradient_checkpointing: bool = False
    compile: bool = False
    workers: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _together(self) -> Engine:
        if self.kind == "torch" and (self.zero or self.processes > 1):
            raise ValueError(
                f"kind torch with zero {self.zero} and processes {self.processes}; allowed: zero 0 and one process, "
                "or kind deepspeed"
            )
        if self.processes % self.nodes:
            raise ValueError(f"processes {self.processes} on nodes {self.nodes}; allowed: as many on each node")
        return self


PLAIN_ENGINE = Engine.model_validate({})


class WarmStart(Part):
    """Steps without the language model that bring visual tokens near the words of their captions."""

    steps: int = Field(ge=1)
    pictures: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


class Pretrain(Part):
    """Connector pretraining on captions: the language model frozen, the connector trained.

    per_seed: a connector of its own for each seed of a run, so that what seeds tell apart holds its pretraining too; or
    one for all of them, as in the papers.
    engine: how its steps are computed, as those of method none unless told.
    """

    dataset: Name
    captions: str
    template: Literal["plain"] = "plain"
    seed: int = Field(0, ge=0)
    per_seed: bool = False
    threads: int = Field(2, ge=1)
    warm_start: WarmStart | None = None
    recipe: Recipe
    engine: Engine | None = None


class Changes(Part):
    """What a mixture's tuning does otherwise than its world's recipe; see Recipe."""

    steps: int | None = Field(None, ge=1)
    conversations: int | None = Field(None, ge=1)
    connector_learning_rate: float | None = Field(None, gt=0)
    method_learning_rate: float | None = Field(None, gt=0)
    method_learning_rates: dict[MethodName, Annotated[float, Field(gt=0)]] | None = None
    warmup_ratio: float | None = Field(None, ge=0, lt=1)
    group_by_length: bool | None = None
    checkpoint_every: int | None = Field(None, ge=1)


class Start(Part):
    """A tuned run, of the same world and seed, whose model a mixture's runs start from: its connector, and its method
    merged into the language model's weights."""

    data: Name
    arm: Name


class Mixture(Part):
    """Training conversations: all of a data set's own, or a share of each benchmark's training split.

    count: how many of a data set's conversations, by default all; with one seed a smaller count is part of a larger.
    turns: the most questions of a conversation that is put together of shares.
    start: where runs start from, if not from the pretrained connector; recipe: what they do otherwise than the world's.
    unseen: whether shares pass over the pictures that the start's mixture has drawn.
    asks: the benchmarks that they are asked, by default all.
    """

    conversations: Name | None = Field(None, exclude_if=absent)
    count: int | None = Field(None, ge=1, exclude_if=absent)
    shares: dict[Name, Share] = Field({}, exclude_if=nothing)
    turns: int | None = Field(None, ge=1, exclude_if=absent)
    seed: int = 0
    start: Start | None = None
    unseen: bool = Field(False, exclude_if=nothing)
    recipe: Changes | None = None
    asks: list[Name] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_kind(self) -> Mixture:
        if bool(self.shares) == bool(self.conversations) or bool(self.shares) != bool(self.turns):
            raise ValueError("allowed: conversations, the name of a data set, or shares with turns")
        if self.count and not self.conversations:
            raise ValueError("count without conversations; allowed: questions of each share")
        if self.unseen and not (self.shares and self.start):
            raise ValueError("unseen without shares or without a start; allowed: with both")
        return self


class World(Part):
    """A model, its data sets, its benchmarks and its budget; without data it can be sized, not run.

    features: once - the frozen encoder's, computed before training and read by all arms - or live, in every job from
    the pictures, where they would not fit on the disk.
    text_tokens: text positions of a typical conversation, by which a plan estimates cost; nothing is cut to it.
    engine: how training steps are computed; engines: methods that take another.
    judge: who grades answers to the benchmarks for which it has a prompt.
    analyses: how its runs are measured beyond scores, where an experiment asks for it.
    predict_parts: jobs that share the questions of a run, on a cluster side by side; the answers are the same.
    """

    language_model: Name
    vision_encoder: Name
    connector: Literal["identity", "linear", "mlp2_gelu", "mlp2_norm", "resampler", "qformer"]
    connector_settings: dict[str, int] = {}
    features: Literal["once", "live"] = "once"
    template: Literal["chatml", "vicuna", "phi", "gemma", "tokenizer"]
    datasets: dict[Name, Dataset] = {}
    benchmarks: dict[Name, Benchmark] = {}
    pretrain: Pretrain | None = None
    mixtures: dict[Name, Mixture] = {}
    judge: Name | None = None
    analyses: Analyses = Analyses()
    tune: Recipe
    engine: Engine = PLAIN_ENGINE
    engines: dict[MethodName, Engine] = {}
    predict_parts: int = Field(1, ge=1)
    text_tokens: int = Field(256, ge=1)
    threads: int = Field(1, ge=1)
    gpus: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _prepared(self) -> World:
        if self.features == "live" and self.pretrain and self.pretrain.warm_start:
            raise ValueError("features live with a warm_start, which reads them from the disk; allowed: features once")
        if self.pretrain and self.pretrain.recipe.encoder_layers:
            raise ValueError("pretrain.recipe with encoder_layers, but stage 1 trains the connector alone; allowed: 0")
        return self

    def engine_of(self, method: MethodName) -> Engine:
        return self.engines.get(method, self.engine)
