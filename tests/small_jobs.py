"""What jobs of tests ask where nothing else is asked: one task and few conditions. The bundled model's own choice is a long job."""

ONE_TASK = "dataset=scenes_shape"
SMALL_JOB = (ONE_TASK, "prune=paper")
QUICK_JOB = (ONE_TASK, "tracker=none", "dataset.source.num_images=40", "probe.num_images=150", "prune=high_ccs")
