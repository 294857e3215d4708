"""What a head sees, as figures for a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ccs_exp.atlas.facts import HeadFacts
from ccs_exp.atlas.looks import Strip, ends, look
from ccs_exp.atlas.questions import Questions
from ccs_exp.clip.preprocessing import pictured
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.wording import plain
from ccs_exp.scoring.ccs import HeadScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AS_TEXT: Any = {"text.parse_math": False}  # a dollar sign in a text is a dollar sign


@dataclass(frozen=True)
class HeadView:
    """One scored head to be looked at; its images are read when the first figure is asked for."""

    score: HeadScore
    questions: Callable[[], Questions]

    def images(self, text: str | None = None, count: int = 5) -> Figure:
        """The images that the head pushes most and least along its label, its descriptions and its own directions, or along `text`.

        Under each image stands how many standard deviations from the head's mean it lies. Raises `CcsError` for an empty text.
        """
        if not isinstance(count, int) or count < 1:
            raise CcsError(f"images(count={count!r}): give a whole number of at least 1.")
        _check_text("images", text="" if text is None else text)
        ask, score = self.questions(), self.score
        facts = HeadFacts(**vars(score))
        if text is None:
            strips = look(facts, ask.kept, {each: ask.embedding_of(each) for each in facts.texts}, count).strips
        else:
            direction = ask.embedding_of(text)
            both = ends(ask.kept.along(ask.kept.heads.index(score.head), direction), count)
            strips = (Strip("text", 1, text, direction, *both),)
        return self._drawn(strips, count, ask)

    def heatmap(self, image: Image.Image | str | Path | int, text: str | None = None, against: str = "") -> Figure:
        """Where the head looks in an image for its label, for `text`, or for `text` rather than `against`.

        Shown is the crop that the model sees. Orange patches point along the text, blue ones against it; together with the class token's
        own part they add up to the head's contribution along it.

        Args:
            image: a picture, a file, or the place of a probe image.

        Raises:
            CcsError: no image, an empty text, or a head without a label.
        """
        text = self.score.label if text is None else text
        if text is None:
            raise CcsError(f"{self.score.head} has no label; give a text, as in heatmap(image, 'red').")
        _check_text("heatmap", text=text, against=against)
        if not isinstance(image, Image.Image | str | Path | int):
            raise CcsError(f"heatmap({image!r}): give a picture of Pillow's, a file, or the place of a probe image, as in heatmap(0).")
        try:
            asked = Path(image).expanduser().read_bytes() if isinstance(image, str | Path) else image
        except OSError as error:
            raise CcsError(f"{image} cannot be read: {error.strerror}.") from error
        crop, heat, _ = self.questions().heat(asked, self.score.head, text, against)
        with _figure(4.2, 4.2) as figure:
            axes = figure.add_subplot()
            rows, columns = heat.shape
            most = np.abs(heat).max() or 1.0
            axes.imshow(crop, extent=(0, columns, rows, 0))
            colours = axes.imshow(heat, extent=(0, columns, rows, 0), cmap="PuOr_r", vmin=-most, vmax=most, alpha=np.abs(heat) / most * 0.7)
            axes.set_axis_off()
            axes.set_title(plain(f"{self.score.head}: {text}" + (f", rather than {against}" if against.strip() else ""), 60), fontsize=10)
            figure.colorbar(colours, ax=axes, shrink=0.7)
        return figure

    def _drawn(self, strips: Sequence[Strip], count: int, ask: Questions) -> Figure:
        places = {item.image for strip in strips for item in (*strip.most, *strip.least)}
        seen = {place: pictured(pixels, ask.model.transform) for place, pixels in ask.seen_again(sorted(places)).items()}
        with _figure(1.05 * 2 * count + 0.6, 1.5 * len(strips)) as figure:
            for panel, strip in zip(figure.subfigures(len(strips), 1, squeeze=False)[:, 0], strips, strict=True):
                panel.suptitle(plain(f"{self.score.head}, most and least along: {strip.title}", 90), fontsize=9)
                shown = [*strip.most, *reversed(strip.least)]
                for axes, item in zip(panel.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
                    axes.set_axis_off()
                    axes.set_title(f"{item.sd:+.1f} sd", fontsize=8)
                    if item.image in seen:
                        axes.imshow(seen[item.image])
                    else:
                        axes.text(0.5, 0.5, plain(ask.kept.sample_ids[item.image], 14), fontsize=6, ha="center")
        return figure


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """To be drawn into; matplotlib is imported for those who look at something."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_AS_TEXT):
        yield Figure(figsize=(width, height), layout="constrained")


def _check_text(function: str, **texts: object) -> None:
    for name, text in texts.items():
        if not isinstance(text, str):
            raise CcsError(f"{function}({name}={text!r}): give a text, as in {function}(..., {name}='red').")
