"""Questions of one's own to a run: nearest images, where heads look, what the model sees without some heads."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.atlas.pictures import overlay, strongest_patch, thumbnail
from ccs_exp.atlas.shown import Again
from ccs_exp.clip.engine import Engine, PlainEngine
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import pictured
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps, read_heads
from ccs_exp.clip.text import encode_texts
from ccs_exp.clip.tokens import patch_grid, tokens_along
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.decoding import Decoder
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.contributions import Contributions

LARGEST_UPLOAD = 16 * 2**20  # bytes
Question = int | bytes | Image.Image  # an image: the place of a probe image, a file's content, or a picture
_LONGEST_TEXT = 300  # characters
_CROP_SIDE = 336
_TOP = 5


class Classes(NamedTuple):
    """Of one task: names, and their embeddings, ``[classes, dim]``."""

    names: tuple[str, ...]
    embeddings: Float[Tensor, "classes dim"]


@dataclass
class Questions:
    """Answers for one run; hooks are set on the model, so one question is answered at a time.

    Images of one's own are not kept. What cannot be answered raises `CcsError`.

    Attributes:
        probe: as it is now; None where its images are gone, or are not to be shown.
        tasks: whose classes are told where heads are silenced.
    """

    model: ClipModel
    kept: Contributions
    probe: ImageData | None
    tasks: Mapping[str, Classes]
    engine: Engine = field(default_factory=PlainEngine)

    def __post_init__(self) -> None:
        self.turn = threading.Lock()
        heads = self.kept.heads
        self.layers = range(heads[0].layer, heads[-1].layer + 1)
        self.maps = contribution_maps(self.model, self.layers, "direct")[:, :-SHARED_COEFFICIENTS]
        self.thumbnail_of = lru_cache(maxsize=4096)(self._thumbnail)
        self.embedding_of = lru_cache(maxsize=1024)(self._embedding)  # one text is asked of many heads

    def nearest_to_text(self, text: str, sets: Mapping[str, Sequence[Head]], count: int = 12) -> dict[str, list[dict[str, Any]]]:
        """Under the name of each set of heads the images whose contributions, summed over it, point most along the text; under ``whole``
        those whose embeddings do."""
        t = self.embedding_of(text)
        values = {name: sum(self.kept.along(place, t) for place in self._places(heads)) for name, heads in sets.items()}
        return {name: self._foremost(of_set, count) for name, of_set in (values | {"whole": self.kept.whole_along(t)}).items()}

    def nearest_to_image(
        self, image: Question, sets: Mapping[str, Sequence[Head]], count: int = 12
    ) -> dict[str, list[dict[str, Any]]]:
        """The same by the cosine between contributions less their mean, side by side over a set's heads; ``whole``: of embeddings."""
        with self.turn, torch.inference_mode():
            found = read_heads(self.model, self._pixels(image), self.layers)
        own = torch.einsum("hk,hkd->hd", found.coefficients[0, :, :-SHARED_COEFFICIENTS].cpu(), self.maps)
        values = {}
        for name, heads in sets.items():
            product, norms, norm = np.zeros(len(self.kept)), np.zeros(len(self.kept)), 0.0
            for place in self._places(heads):
                kept = self.kept.coordinates.at(place)
                y = (own[place] @ self.kept.basis[place] - self.kept.coordinates.mean[place]).numpy().astype(np.float32)
                product += kept @ y
                norms += (kept**2).sum(axis=1)
                norm += float(y @ y)
            values[name] = product / np.sqrt(np.maximum(norms * norm, 1e-20))
        values["whole"] = self.kept.whole_along(found.embedding[0].cpu())
        return {name: self._foremost(of_set, count) for name, of_set in values.items()}

    def looks_at(self, image: Question, head: Head, text: str, against: str = "") -> dict[str, Any]:
        """`heat` as a page shows it: `along` is what all patches add up to, `elsewhere` what the class token itself adds."""
        crop, heat, elsewhere = self.heat(image, head, text, against)
        found = {"crop": thumbnail(crop, _CROP_SIDE), "heat": overlay(heat, np.abs(heat).max()), "strongest": strongest_patch(heat)}
        return found | {"along": float(heat.sum()), "elsewhere": elsewhere}

    def heat(
        self, image: Question, head: Head, text: str, against: str = ""
    ) -> tuple[Image.Image, Float[np.ndarray, "rows columns"], float]:
        """Where a head looks for a text, or for one text rather than another: the crop that the model sees, what each of its patches adds
        along the text (or the difference of the two), and what the class token itself adds."""
        grid = patch_grid(self.model)
        direction = self.embedding_of(text)
        if against.strip():
            direction = direction - self.embedding_of(against)
        along = torch.zeros(*self.maps.shape[:2], 1, dtype=torch.float64)
        place = self._places([head])[0]
        along[place, :, 0] = self.maps[place] @ direction
        with self.turn, torch.inference_mode():
            pixels = self._pixels(image)
            parts = tokens_along(self.model, pixels, self.layers, along)[0, place, :, 0].cpu().numpy()
        return pictured(pixels[0].cpu(), self.model.transform), parts[1:].reshape(grid), float(parts[0])

    def without(self, image: Question, heads: Sequence[Head], task: str) -> dict[str, Any]:
        """The top five classes of a task with all heads and with some silenced: logits, and by how much the first leads."""
        if task not in self.tasks:
            raise CcsError(f"{task!r} is no task of this run. There are: {', '.join(self.tasks) or 'none'}.")
        names, embeddings = self.tasks[task]
        with self.turn, torch.inference_mode():
            pixels = self._pixels(image)
            encoded = self.engine.encode(self.model, pixels, [frozenset(), frozenset(heads)], ["own"])
        found = {}
        for name, logits in zip(("all", "silenced"), self.model.logit_scale * encoded[:, 0] @ embeddings.T.to(encoded), strict=True):
            values, places = logits.topk(min(_TOP, len(names)))
            rows = [{"class": names[place], "logit": float(value)} for value, place in zip(values, places, strict=True)]
            found[name] = {"top": rows, "margin": float(values[0] - values[1]) if len(rows) > 1 else None}
        return found

    def _embedding(self, text: str) -> Float[Tensor, " dim"]:
        if not text.strip() or len(text) > _LONGEST_TEXT:
            raise CcsError(f"Give a text of at most {_LONGEST_TEXT} characters.")
        with self.turn, torch.inference_mode():  # not by way of the store: to look there means to hash all weights
            encoded = encode_texts(self.model.clip, self.model.tokenizer, [text], self.model.device)
        return F.normalize(encoded[0].double().cpu(), dim=-1)

    def _places(self, heads: Sequence[Head]) -> list[int]:
        wrong = [str(head) for head in heads if head not in self.kept.heads]
        if wrong or not heads:
            named, heads = ", ".join(wrong) or "No head", self.kept.heads
            raise CcsError(f"{named}: choose among the scored heads, {heads[0]} to {heads[-1]}.")
        return [self.kept.heads.index(head) for head in heads]

    def _pixels(self, image: Question) -> Float[Tensor, "1 3 height width"]:
        if isinstance(image, bytes):
            if len(image) > LARGEST_UPLOAD:
                raise CcsError(f"The image has {len(image) >> 20} MiB; at most {LARGEST_UPLOAD >> 20} are taken.")
            try:
                picture = Decoder(as_seen=True)(io.BytesIO(image), "What you gave")
            except UnreadableImage as error:
                raise CcsError(str(error)) from error
            return self._pixels(picture)
        if isinstance(image, Image.Image):
            return self.model.preprocess(image)[None].to(self.model.device)
        found = self.seen_again([image])
        if image not in found:
            raise CcsError("That image is not where it was, or has changed, so what was kept of it does not hold for it.")
        return found[image][None].to(self.model.device)

    def seen_again(self, places: Sequence[int]) -> dict[int, Tensor]:
        """The pixels of probe images that are still what they were."""
        within = [place for place in places if 0 <= place < len(self.kept)]
        if self.probe is None or not within:
            return {}
        again = Again(self.probe.source, self.probe.indices, self.kept, within)
        data = ImageData(again, self.model.transform, on_error="skip", num_workers=0)
        found = {}
        for batch in data.test_dataloader():
            for place, pixels, digest in zip(map(int, batch.sample_ids), batch.pixels, batch.digests, strict=True):
                if digest.hex() == self.kept.digests[place]:
                    found[place] = pixels
        return found

    def _thumbnail(self, place: int) -> str | None:
        pixels = self.seen_again([place]).get(place)
        return None if pixels is None else thumbnail(pictured(pixels, self.model.transform))

    def _foremost(self, values: Any, count: int) -> list[dict[str, Any]]:
        order = np.argsort(-values, kind="stable")[:count]
        return [
            {"place": int(place), "name": self.kept.sample_ids[place], "value": float(values[place]), "crop": self.thumbnail_of(int(place))}
            for place in order
        ]


def class_set(model: ClipModel, names: Sequence[str], embeddings: Float[Tensor, "classes dim"]) -> Classes:
    """The classes of a task, their embeddings normalised."""
    return Classes(tuple(names), F.normalize(embeddings.float(), dim=-1).to(model.device))
