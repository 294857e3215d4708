"""The processes that share the passes of a job."""

import ccs_exp.clip  # noqa: F401  declares torchvision's operators before Lightning imports torchvision
