"""What encodes: the model, the images of a probe or data set as its batches, and where that is computed.

An entry point of the keys of moments and evaluations (`ccs_exp.jobs.keys`): what it imports is what they rest on.
"""

from __future__ import annotations

from omegaconf import DictConfig

from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.trainer import Compute
from ccs_exp.config.plain import plain
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.pixel_store import pixel_store
from ccs_exp.data.images.source import ImageSource
from ccs_exp.errors import CcsError
from ccs_exp.journal.log import stage


@stage("load")
def build_model(cfg: DictConfig) -> ClipModel:
    return load_clip(**plain(cfg.model), seed=cfg.seed)


def build_compute(cfg: DictConfig, progress: bool = True) -> Compute:
    precision = int(cfg.precision) if str(cfg.precision).isdigit() else cfg.precision
    return Compute(cfg.device, precision, progress, cfg.trainer.devices, cfg.trainer.num_nodes)


def image_data(cfg: DictConfig, node: DictConfig, source: ImageSource, model: ClipModel, limit: int | None = None) -> ImageData:
    """The images of a data set or a probe as batches, preprocessed for `model`. Raises `CcsError` for what is no source of images."""
    if not isinstance(source, ImageSource):
        raise CcsError(f"{type(source).__name__} is no source of images: derive it from ccs_exp.data.images.source.ImageSource.")
    return ImageData(
        source,
        model.transform,
        batch_size=cfg.batch_size,
        limit=limit,
        on_error=cfg.on_error,
        num_workers=cfg.num_workers,
        pixel_store=pixel_store(plain(node.source), source, model) if cfg.pixel_cache else None,
    )
