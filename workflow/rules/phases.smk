# Four coarse targets, the stages of dvc.yaml, for the default experiment.

DEFAULT = PARAMS.experiments[PARAMS.default]


rule phase_data:
    input:
        base_of(DEFAULT.world),
        data_of(DEFAULT.world, PLAN.datasets_of(DEFAULT.world)),
        [layout.mixture(DEFAULT.world, data) for data in DEFAULT.mixtures],


rule phase_pretrain:
    input:
        sorted(
            {
                layout.connector(DEFAULT.world, PLAN.pretrain_seed(DEFAULT.world, seed)) / "manifest.json"
                for seed in DEFAULT.seeds
            }
        ),


rule phase_tune:
    input:
        [layout.run(run.world, run.data, run.arm, run.seed) / "manifest.json" for run in PLAN.runs(PARAMS.default)],


rule phase_report:
    input:
        experiment_files(PARAMS.default),
