# Tables, figures and one offline HTML file per experiment; `snakemake --report report.zip` shows them with the DAG.


report: "../report/workflow.rst"


REPORTED = layout.experiment("{experiment}")


rule report:
    input:
        lambda w: list(outcomes(PLAN.runs(w.experiment), "scores.json")),
        lambda w: list(outcomes([start for _, start in PLAN.starts(w.experiment)], "scores.json")),
        lambda w: list(outcomes(PLAN.attended_runs(w.experiment), "attention/attention.json")),
        analyses_of,
    output:
        shown(REPORTED / "report.html", "report", labels={"what": "everything, on one page"}),
        shown(REPORTED / "table.csv", "table", labels={"what": "every score"}),
        shown(
            directory(layout.figures("{experiment}")),
            "figure",
            patterns=["{figure}.png"],
            labels={"what": "figure {figure}"},
        ),
        [REPORTED / file for file in ("table.md", "scores.png", "metrics.json", "losses.csv", "lmar.csv")],
    log:
        layout.log("report", experiment="{experiment}"),
    params:
        slice=slice_of("report"),
    shell:
        "python -m stages.report {params.slice} 2>&1 | tee {log}"


# By hand, at any time; a head writes the same page when it ends. Without an output it needs no experiment and locks none.
rule index:
    log:
        layout.LOGS / "index.log",
    localrule: True
    params:
        params_file=PARAMS_FILE,
    shell:
        "python -m stages.index --params {params.params_file} 2>&1 | tee {log}"
