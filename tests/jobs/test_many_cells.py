"""What a process holds after many cells of a sweep is what it held after a few."""

import gc

import psutil
import pytest
from PIL import Image
from small_models import small_model

from ccs_exp.jobs import load_stage
from ccs_exp.jobs.experiment import Job, run


@pytest.mark.full
def test_forty_cells_hold_no_more_memory_and_no_more_files_than_ten(picture_job, tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    pictures = {f"{name}/{n}.png": Image.new("RGB", (32, 32), (200 * (name == "red"), n, 90)) for name in ("red", "blue") for n in range(4)}
    cfg = picture_job(pictures, "prune=each_head")
    transform = load_stage.build_model(cfg).transform

    def loaded_anew(cfg):
        model = small_model()
        model.transform = transform
        return model

    monkeypatch.setattr(load_stage, "build_model", loaded_anew)
    held, process = [], psutil.Process()
    for cell in range(40):
        cfg.probe.source.seed = cell
        run(cfg, Job(str(tmp_path / str(cell))))
        gc.collect()
        held.append((process.num_fds(), len(process.open_files()), process.num_threads(), process.memory_info().rss))
    descriptors, files, threads, memory = zip(*held, strict=True)
    assert max(descriptors[10:]) <= max(descriptors[:10])
    assert max(files[10:]) <= max(files[:10])
    assert max(threads[10:]) <= max(threads[:10])
    assert memory[-1] < memory[9] + 60 * 2**20, " ".join(f"{rss / 2**20:.0f}" for rss in memory)
