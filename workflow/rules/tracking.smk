# MLflow is shown what the files say: the database once before any upload, then one upload per experiment; from here,
# where its server or its file is.


rule tracking_database:
    output:
        layout.DATABASE.with_suffix(".ready"),
    log:
        layout.LOGS / "tracking_database.log",
    localrule: True
    shell:
        "python -m stages.tracking_database {output} 2>&1 | tee {log}"


rule track:
    input:
        layout.DATABASE.with_suffix(".ready"),
        layout.experiment("{experiment}") / "report.html",
        lambda w: list(outcomes(PLAN.runs(w.experiment), "scores.json")),
    output:
        layout.experiment("{experiment}") / "tracked.json",
    log:
        layout.log("track", experiment="{experiment}"),
    localrule: True
    params:
        slice=slice_of("track"),
    shell:
        "python -m stages.track {params.slice} 2>&1 | tee {log}"
