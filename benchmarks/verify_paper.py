"""The paper's numbers against ours: the six variants on its data sets, and which accuracies and costs come again.

Needs the network (or the hub's files in its cache), and time: 42 runs of originals under protocol=standard, 45 under protocol=paper, and
with the videos at hand 18 more. `make verify-paper` calls it. Arguments go on to ccs_exp, as in
`python benchmarks/verify_paper.py device=gpu batch_size=256 data_dir=DIR`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import requests

FOLDER = "multirun/verify_paper"
SWEEPS = {  # the names of their folders
    "standard": ["+experiment=verify_paper", "protocol=standard", "prune=none"],  # against open_clip's accuracies
    "paper": ["+experiment=verify_paper"],
    "figure3": ["+experiment=figure3", "model=vitb16_openai"],  # of which the text gives numbers
    "figure4": ["+experiment=figure4", "model=vitb32_openai,vitl14_openai"],
}
VIDEOS = ("msrvtt", "msvd", "didemo")


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


def videos_in(arguments: list[str]) -> list[str]:
    """The video sets of which the data folder has a copy."""
    given = [text.partition("=")[2] for text in arguments if text.startswith("data_dir=")]
    folder = given[-1] if given else os.environ.get("CCS_EXP_DATA", "")
    return [name for name in VIDEOS if folder and Path(folder, name).is_dir()]


def main() -> None:
    problem = hub_answers()
    if problem:
        sys.exit(
            f"Error: make verify-paper fetches the weights of six models and seven data sets, but {problem}. Run it where the hub "
            f"can be reached; runs that you have already are verified by `ccs-exp report DIR --verify`."
        )
    videos = videos_in(sys.argv[1:])
    sweeps = SWEEPS | ({"figure5": ["+experiment=figure5", f"dataset={','.join(videos)}"]} if videos else {})
    failed = 0
    for name, choices in sweeps.items():
        run = [sys.executable, "-m", "ccs_exp", "-m", *choices, f"hydra.sweep.dir={FOLDER}/{name}", *sys.argv[1:]]
        done = subprocess.run(run)
        if done.returncode < 0 or done.returncode in (130, 143):
            sys.exit(f"Interrupted. What is finished lies in {FOLDER}/{name}.")
        failed += done.returncode != 0
    if failed and not os.path.isdir(FOLDER):
        sys.exit("Error: nothing ran; the reasons stand above.")
    if not videos:
        print("Figure 5 was left out: data_dir=DIR names no folder with msrvtt, msvd or didemo.")
    report = [sys.executable, "-m", "ccs_exp", "report", FOLDER, "--output", f"{FOLDER}/report", "--verify"]
    sys.exit(subprocess.run(report).returncode)


if __name__ == "__main__":
    main()
