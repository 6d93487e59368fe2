# Tables, figures and one offline HTML file per experiment.


REPORTED_FILES = ("report.html", "table.csv", "table.md", "scores.png", "metrics.json", "losses.csv", "lmar.csv")


rule report:
    input:
        lambda w: list(outcomes(PLAN.runs(w.experiment), "scores.json")),
        lambda w: list(outcomes(PLAN.attended_runs(w.experiment), "attention/attention.json")),
        analyses_of,
    output:
        [layout.experiment("{experiment}") / file for file in REPORTED_FILES],
    log:
        layout.log("report", experiment="{experiment}"),
    params:
        slice=slice_of("report"),
    shell:
        "python -m stages.report {params.slice} 2>&1 | tee {log}"
