# The `snakemake` that decides and submits says who it is, for `make status` and, when it was killed, `make resume`. Where
# jobs failed, what came through is reported all the same.

import subprocess

from steering import heads


def report_partly():
    asked = [word for word in sys.argv if word in PLAN.runnable()]
    subprocess.run(["python", "-m", "stages.partial", *asked, "--params", PARAMS_FILE])


onstart:
    heads.begin(submits=workflow.non_local_exec)


onsuccess:
    heads.end()


onerror:
    heads.end()
    report_partly()
