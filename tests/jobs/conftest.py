"""A job with a stub of a model over pictures made for it; its report is one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from PIL import Image
from small_models import small_model
from torchvision.transforms.functional import to_tensor

from ccs_exp.clip.model import ClipModel
from ccs_exp.config.schema import configure
from ccs_exp.files import write_whole
from ccs_exp.jobs import experiment, load_stage

POOL = ("red", "blue", "green", "a star", "a ring", "one of them")


@pytest.fixture
def picture_job(tmp_path, monkeypatch) -> Callable[..., DictConfig]:
    """Compose a job over `pictures` (by path below the data set's folder; None: an empty folder)."""
    monkeypatch.setattr(experiment, "write_report", lambda path, _beside: write_whole(path / "report.html", b"<p>"))
    monkeypatch.setattr(experiment, "show_run", lambda path, alone: None)

    def compose(pictures: dict[str, Image.Image | None], *options: str, model: ClipModel | None = None) -> DictConfig:
        stub = model or small_model()
        stub.transform = lambda image: to_tensor(image.resize((32, 32)))
        monkeypatch.setattr(load_stage, "build_model", lambda cfg: stub)
        for name, picture in pictures.items():
            place: Path = tmp_path / "pictures" / name
            (place if picture is None else place.parent).mkdir(parents=True, exist_ok=True)
            if picture is not None:
                picture.save(place)
        (tmp_path / "pool.txt").write_text("\n".join(POOL))
        ours = ("model.weights=null", "dataset=folder", f"dataset.path={tmp_path}/pictures", "pool=file", f"pool.path={tmp_path}/pool.txt")
        return configure(*ours, "probe.num_images=80", "prune=none", "tracker=none", "num_workers=0", "batch_size=80", *options)

    return compose
