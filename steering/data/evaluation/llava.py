"""LLaVA's eval.zip, whose question files are laid out by benchmark: vqav2/, textvqa/, scienceqa/."""

LLAVA_EVAL = "llava_eval"
TOPS = ("", "eval/", "playground/data/eval/")
