"""Tables 4 to 6 against what was published: runs the six variants on the seven data sets and prints which cells hold.

Needs the network (or the hub's files in its cache), and time: 54 runs with real models. `make verify-paper` calls it. Arguments
go on to ccs_exp, as in `python benchmarks/verify_paper.py device=gpu batch_size=256`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import requests

FOLDER = "multirun/verify_paper"
OWN_PROTOCOL = "cifar10,oxford_pets"  # evaluated by the authors in a way of their own


def hub_answers() -> str | None:
    """None, or why the hub cannot be used."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        requests.head(constants.ENDPOINT, timeout=10).raise_for_status()
    except requests.RequestException as error:
        return f"{constants.ENDPOINT} does not answer ({type(error).__name__})"
    return None


def main() -> None:
    problem = hub_answers()
    if problem:
        sys.exit(
            f"Error: make verify-paper fetches the weights of six models and seven data sets, but {problem}. Run it where the hub "
            f"can be reached; runs that you have already are verified by `ccs-exp report DIR --verify`."
        )
    run = [sys.executable, "-m", "ccs_exp", "-m", "+experiment=verify_paper"]
    failed = 0
    for name, more in (("standard", []), ("paper", ["protocol=paper", f"dataset={OWN_PROTOCOL}"])):
        done = subprocess.run([*run, *more, f"hydra.sweep.dir={FOLDER}/{name}", *sys.argv[1:]])
        if done.returncode < 0 or done.returncode in (130, 143):
            sys.exit(f"Interrupted. What is finished lies in {FOLDER}/{name}.")
        failed += done.returncode != 0
    if failed and not os.path.isdir(FOLDER):
        sys.exit("Error: nothing ran; the reasons stand above.")
    report = [sys.executable, "-m", "ccs_exp", "report", FOLDER, "--output", f"{FOLDER}/report", "--verify"]
    sys.exit(subprocess.run(report).returncode)


if __name__ == "__main__":
    main()
