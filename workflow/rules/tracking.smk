# MLflow is shown what the files say: the database once before any upload, then one upload per experiment.


rule tracking_database:
    output:
        layout.DATABASE.with_suffix(".ready"),
    log:
        "logs/tracking_database.log",
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
        "logs/track/{experiment}.log",
    wildcard_constraints:
        experiment="|".join(PLAN.runnable()),
    params:
        slice=slice_of("report"),
    shell:
        "python -m stages.track {params.slice} 2>&1 | tee {log}"
