# The `snakemake` that decides and submits says who it is, for `make status` and, when it was killed, `make resume`. Where
# jobs failed, what came through is reported all the same. Either way the page over all experiments is written anew.
#
# That page is nobody's output: it tells of every experiment, so as an output it would need all of them, or be older than
# most; and two heads whose jobs share an output lock each other out. Each head writes it when it ends, whole, from what
# lies there, so the last one to end has seen what the others made.

import subprocess

from steering import heads

AS_HERE = ["--params", PARAMS_FILE, *(["--first-seeds", str(FIRST_SEEDS)] if FIRST_SEEDS else [])]


def report_partly():
    worlds = [word.removeprefix("all_") for word in sys.argv if word.startswith("all_")]
    asked = [name for name in PLAN.runnable() if name in sys.argv or PARAMS.experiments[name].world in worlds]
    subprocess.run([sys.executable, "-m", "stages.partial", *asked, *AS_HERE])


def write_index():
    subprocess.run([sys.executable, "-m", "stages.index", *AS_HERE])


onstart:
    heads.begin(submits=workflow.non_local_exec)


onsuccess:
    heads.end()
    write_index()


onerror:
    heads.end()
    report_partly()
    write_index()
