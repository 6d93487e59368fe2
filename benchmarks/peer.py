"""The peer: the stock way to train on questions about pictures, by transformers' own Trainer.

One module holds connector and causal LM; it puts the visual tokens among the word embeddings and hands embeddings and
labels to the LM, as LLaVA's and TinyLLaVA Factory's do, so the stock loss computes logits at every position. Each
question is a sample with its own copy of the picture's tokens; transformers' collator pads them. MoReS is the same
PEFT adapter as ours; the marks of who stands where come from the token ids. (LLaVA's data also has conversations of
several questions in one row, whose later questions see the earlier answers: another task, so not the peer here.)

A step is Trainer's collator, its `training_step`, its clipping, its AdamW and schedule. Left out, in its favour: its
data loader, callbacks, logging and saving.

Shapes: b questions, t positions, v visual tokens, c features of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerFast, Trainer, TrainingArguments

from benchmarks.workload import ARMS, RATE, STEPS, Workload
from steering.data.collate import Sample
from steering.methods import attach
from steering.methods.sight import marks_from_ids
from steering.model.connectors import Connector
from steering.model.language import base_of
from steering.model.marks import board_of

PADDING, PICTURE, IGNORED = 0, 1, -100
Question = dict[str, Any]


class StockModel(nn.Module):
    """Connector and causal LM in one; called as Trainer calls a model."""

    def __init__(self, connector: Connector, language_model: Any):
        super().__init__()
        self.connector = connector
        self.language_model = language_model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, features: Tensor) -> Any:
        embeddings = self.language_model.get_input_embeddings()(input_ids)  # (b, t, d)
        visual = self.connector(features).to(embeddings.dtype)  # (b, v, d)
        marks = marks_from_ids(input_ids, PICTURE, attention_mask=attention_mask, labels=labels)
        with board_of(base_of(self.language_model)).show(marks):
            return self.language_model(
                inputs_embeds=embeddings.masked_scatter(marks.visual.unsqueeze(-1), visual),
                attention_mask=attention_mask,
                labels=labels,
                use_cache=False,
            )


def questions(samples: Sequence[Sample]) -> list[Question]:
    """Each question of *samples* as a row: input_ids, labels (-100 but for the answer), features (v, c)."""
    return [
        _question([*sample.opening, *[PICTURE] * sample.places, *turn.question], [*turn.answer], sample.features)
        for sample in samples
        for turn in sample.turns
    ]


def _question(prompt: list[int], answer: list[int], features: Tensor | None) -> Question:
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer, "features": features}


class _Collator:
    """transformers' collator for the text; pictures are all of one size."""

    def __init__(self) -> None:
        words = Tokenizer(models.WordLevel({"<pad>": PADDING}, unk_token="<pad>"))
        self.text = DataCollatorForSeq2Seq(PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>"))

    def __call__(self, rows: Sequence[Question]) -> dict[str, Tensor]:
        text = self.text([{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows])
        return {**text, "features": torch.stack([row["features"] for row in rows])}


class Peer:
    """A stock model in a Trainer of its own, with the weights that our model of the same *arm* starts from."""

    def __init__(self, load: Workload, arm: str):
        language_model = attach(load.language_model(), ARMS[arm], seed=load.seed)
        self.model = StockModel(load.connector(), language_model).train()
        self.trainer: Any = _trainer(self.model, load.device)
        self.trainer.create_optimizer_and_scheduler(STEPS)
        self.trainer.current_gradient_accumulation_steps = 1  # as its own loop sets it ahead of each step

    def step(self, rows: Sequence[Question]) -> float:
        """One update on *rows*; the loss before it."""
        trainer = self.trainer
        loss = trainer.training_step(self.model, trainer.data_collator(rows))
        trainer.accelerator.clip_grad_norm_(self.model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        self.model.zero_grad()
        return float(loss)

    @torch.no_grad()
    def loss(self, rows: Sequence[Question]) -> float:
        inputs = self.trainer.data_collator(rows)
        return float(self.model(**{name: tensor.to(self.trainer.args.device) for name, tensor in inputs.items()}).loss)


def _trainer(model: nn.Module, device: torch.device) -> Trainer:
    """Trainer with its own defaults, but for a cosine like ours and nothing logged or saved."""
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        settings = TrainingArguments(
            output_dir=folder,
            max_steps=STEPS,
            learning_rate=RATE,
            lr_scheduler_type="cosine",
            remove_unused_columns=False,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=device.type == "cpu",
        )
        return Trainer(model, settings, data_collator=_Collator())
