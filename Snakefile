# Visual instruction tuning by representation steering: `snakemake` builds the default experiment of params.yaml,
# `snakemake NAME` any other by its name, `snakemake all_WORLD` all of a world.

from snakemake.utils import min_version

min_version("9.0")

from steering.targets import slips


include: "workflow/rules/common.smk"
include: "workflow/rules/head.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/connector.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/tracking.smk"


localrules:
    all,
    phase_data,
    phase_pretrain,
    phase_tune,
    phase_report,


rule all:
    default_target: True
    input:
        experiment_files(PARAMS.default),


for name in PLAN.runnable():

    rule:
        name:
            name
        input:
            experiment_files(name),
        localrule: True


# `snakemake all_WORLD`: every experiment of a world.
for world in PARAMS.worlds:

    rule:
        name:
            f"all_{world}"
        input:
            [experiment_files(name) for name in PLAN.runnable() if PARAMS.experiments[name].world == world],
        localrule: True


include: "workflow/rules/phases.smk"


for line in slips(sys.argv[1:], [rule.name for rule in workflow.rules]):
    print(line, file=sys.stderr)
