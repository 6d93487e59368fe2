# The `snakemake` that decides and submits says who it is, for `make status` and, when it was killed, `make resume`.

from steering import heads


onstart:
    heads.begin(submits=workflow.non_local_exec)


onsuccess:
    heads.end()


onerror:
    heads.end()
