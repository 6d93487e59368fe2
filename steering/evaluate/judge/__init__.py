"""A language model as a judge of answers: asked once, kept on disk; one that fails gives no score."""

from steering.evaluate.judge.asking import JudgeQuestion, Reader, Verdict, ask_judge, told_by, unscored
from steering.evaluate.judge.cache import Cache
from steering.evaluate.judge.hallusion import hallusion_outcome, hallusion_question, read_correctness
from steering.evaluate.judge.settings import JudgeError, JudgePrompt, JudgeSettings, read_prompt
from steering.evaluate.judge.verdicts import JudgedForm, judged_by, verdicts_on

__all__ = [
    "Cache",
    "JudgeError",
    "JudgePrompt",
    "JudgeQuestion",
    "JudgeSettings",
    "JudgedForm",
    "Reader",
    "Verdict",
    "ask_judge",
    "hallusion_outcome",
    "hallusion_question",
    "judged_by",
    "read_correctness",
    "read_prompt",
    "told_by",
    "unscored",
    "verdicts_on",
]
