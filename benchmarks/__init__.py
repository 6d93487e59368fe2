"""Speed and memory of the methods against the frozen model and each other, as ratios within one run."""
