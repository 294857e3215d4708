"""Train the tiny CLIP that the package brings: `python training/train_tiny_clip.py --out DIR`.

Drawn scenes and handwritten digits, captions of one to all factors in the words of the taxonomy, and a contrastive loss in which
every caption that is true of an image counts as a positive: what is true is known from how the scene was drawn. To it is added
the same contrast within each factor. Takes under an hour on two CPU cores. The seed fixes data and initial weights.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch.nn import functional as F

from ccs_exp.clip.loading import open_clip
from ccs_exp.clip.text import encode_cut
from ccs_exp.data.bundled.digits import DIGIT_NAMES, Digits
from ccs_exp.data.bundled.scene_drawing import draw
from ccs_exp.data.bundled.scenes import FACTORS, NO_VALUE, sample_scene

ASSETS = Path(__file__).parents[1] / "ccs_exp" / "assets"
CONCEPT_OF_FACTOR = {
    "shape": "shapes", "colour": "colors", "texture": "textures", "size": "sizes", "place": "places", "count": "numbers",
    "background": "backgrounds", "digit": "digits",
}  # fmt: skip
VALUES = {**FACTORS, "digit": DIGIT_NAMES}
SCENES_IN_MEMORY, NEW_SCENES_A_STEP, DIGITS_A_BATCH = 40_000, 24, 24
MERGES = 400
MEAN, STD = 0.5, 0.25


def templates() -> dict[str, list[str]]:
    """The one-factor phrasings of each factor, from the taxonomy."""
    import yaml

    part = {}
    for name in ("scenes", "handwriting"):
        part |= yaml.safe_load((ASSETS / "taxonomy" / f"{name}.yaml").read_text())
    return {factor: part[concept]["descriptions"][0]["templates"] for factor, concept in CONCEPT_OF_FACTOR.items()}


def learn_merges(texts: list[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair merges over the words of `texts`, the commonest pair first."""
    words = Counter(word for text in texts for word in text.lower().split())
    split = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, parts in split.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            pairs[(f"merge{len(merges)}", "unused")] = 1  # the table's size stays, whatever the vocabulary
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            joined, position = [], 0
            while position < len(parts):
                if tuple(parts[position : position + 2]) == best:
                    joined.append(best[0] + best[1])
                    position += 2
                else:
                    joined.append(parts[position])
                    position += 1
            split[word] = tuple(joined)
    return merges


class Captions:
    """Captions and what they claim: an index for each factor, `NO_VALUE` where they claim nothing."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.templates, self.factors = rng, templates(), list(VALUES)

    def one_factor(self, factor: str, value: int) -> str:
        choices = self.templates[factor]
        return choices[self.rng.integers(len(choices))].replace("{}", VALUES[factor][value])

    def caption(self, scene: np.ndarray) -> tuple[str, tuple[int, ...]]:
        """A true caption of the scene, of one factor (6 of 10), two or three, or all."""
        shown = [index for index, value in enumerate(scene) if value != NO_VALUE]
        if scene[self.factors.index("size")] in (0, 1) and self.rng.random() < 0.7:
            shown = [index for index in shown if self.factors[index] not in ("shape", "texture")]  # hardly legible
        number = self.rng.choice([1, 2, 3, len(shown)], p=[0.6, 0.15, 0.15, 0.1])
        chosen = sorted(self.rng.choice(shown, size=min(number, len(shown)), replace=False))
        claims = np.full(len(scene), NO_VALUE)
        claims[chosen] = scene[chosen]
        if len(chosen) == 1:
            return self.one_factor(self.factors[chosen[0]], scene[chosen[0]]), tuple(claims)
        return self._composed({self.factors[index]: VALUES[self.factors[index]][scene[index]] for index in chosen}), tuple(claims)

    @staticmethod
    def _composed(words: dict[str, str]) -> str:
        noun, count = words.get("shape", "figure"), words.get("count", "one")
        before = " ".join([*(words[key] for key in ("size", "texture", "colour") if key in words), noun])
        if count == "one":
            text = f"{'an' if before[0] in 'aeiou' else 'a'} {before}"
        else:
            text = f"{count} {before}{'es' if noun == 'cross' else 's'}"
        if "place" in words:
            text += f" at the {words['place']}"
        return text + (f" in front of {words['background']}" if "background" in words else "")

    def of_every_value(self) -> dict[str, tuple[int, ...]]:
        """One caption for each value of each factor, in order, and what it claims."""
        captions = {}
        for index, (factor, values) in enumerate(VALUES.items()):
            for value in range(len(values)):
                claims = np.full(len(VALUES), NO_VALUE)
                claims[index] = value
                captions[self.one_factor(factor, value)] = tuple(claims)
        return captions

    def corpus(self) -> list[str]:
        """Every one-factor caption, for the tokenizer."""
        one = [
            template.replace("{}", value) for factor in VALUES for template in self.templates[factor] for value in VALUES[factor]
        ]
        plurals = [f"{shape}{'es' if shape == 'cross' else 's'}" for shape in VALUES["shape"]]
        return [*one, "a figure at the left in front of an", "figures", *plurals]


class Pictures:
    """A stock of drawn scenes, part of which is drawn anew at every step, and the digits of the training split."""

    def __init__(self, rng: np.random.Generator, stock: int):
        self.rng = rng
        drawn = [self._draw() for _ in track(range(stock), "Drawing scenes")]
        self.scenes, self.pixels = np.stack([scene for scene, _ in drawn]), np.stack([pixels for _, pixels in drawn])
        digits = Digits("train")
        self.digits = [digits[index] for index in range(len(digits))]

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        factor = list(FACTORS)[self.rng.integers(len(FACTORS))]
        scene = sample_scene(self.rng, factor, int(self.rng.integers(len(FACTORS[factor]))))
        return np.append(scene, NO_VALUE), draw(scene, self.rng)

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Scenes ``[size, factors]`` with the digit as last factor, and pixels ``[size, 32, 32, 3]``."""
        for row in self.rng.integers(len(self.scenes), size=NEW_SCENES_A_STEP):
            self.scenes[row], self.pixels[row] = self._draw()
        rows = self.rng.choice(len(self.scenes), size=size - DIGITS_A_BATCH, replace=False)
        digits = [self._shifted_digit() for _ in range(DIGITS_A_BATCH)]
        scenes = np.concatenate([self.scenes[rows], np.stack([scene for scene, _ in digits])])
        return scenes, np.concatenate([self.pixels[rows], np.stack([pixels for _, pixels in digits])])

    def _shifted_digit(self) -> tuple[np.ndarray, np.ndarray]:
        sample = self.digits[self.rng.integers(len(self.digits))]
        scene = np.full(len(VALUES), NO_VALUE)
        scene[-1] = sample.target
        angle, zoom = self.rng.uniform(-12, 12), self.rng.uniform(0.85, 1.1)
        shift = self.rng.uniform(-2.5, 2.5, size=2)
        image = sample.image.rotate(angle, resample=2, fillcolor="white")
        centre = 16 * (1 - 1 / zoom)
        image = image.transform(
            (32, 32), 0, (1 / zoom, 0, centre + shift[0], 0, 1 / zoom, centre + shift[1]), 2, fillcolor="white"
        )
        return scene, np.asarray(image)


def true_of(scenes: np.ndarray, claims: np.ndarray) -> torch.Tensor:
    """``[images, captions]``: whether all that a caption claims holds of the image."""
    claimed = claims[None] != NO_VALUE
    return torch.from_numpy((~claimed | (scenes[:, None] == claims[None])).all(axis=-1))


def multi_positive_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against all true pairs, by image and by caption."""
    truth = truth.float()
    by_image = -(truth / truth.sum(1, keepdim=True) * F.log_softmax(logits, 1)).sum(1).mean()
    positives = truth.sum(0)  # none, for a caption that is true of no image of the batch
    by_caption = -(truth / positives.clamp(min=1) * F.log_softmax(logits, 0)).sum() / (positives > 0).sum()
    return (by_image + by_caption) / 2


def within_factor_loss(logits: torch.Tensor, scenes: np.ndarray, claims: np.ndarray) -> torch.Tensor:
    """Cross-entropy of each image against one caption for each value of a factor, averaged over the factors that it has.

    `logits` and `claims` are of one-factor captions, one for each value of each factor. The contrast with all captions alone
    learns the factors that need several patches (place, count, shape) much later than colours and backgrounds.
    """
    losses = []
    for factor in range(scenes.shape[1]):
        columns = np.flatnonzero(claims[:, factor] != NO_VALUE)
        images = np.flatnonzero(scenes[:, factor] != NO_VALUE)
        targets = torch.from_numpy(scenes[images, factor]).to(logits.device)
        losses.append(F.cross_entropy(logits[images][:, columns], targets))
    return torch.stack(losses).mean()


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    captions = Captions(rng)
    merges_file = args.out / "merges.txt.gz"
    with gzip.GzipFile(merges_file, "wb", mtime=0) as file:
        file.write("\n".join(["#version: byte pairs", *map(" ".join, learn_merges(captions.corpus(), MERGES))]).encode())
    config = json.loads((ASSETS / "tiny_clip" / "tiny_clip.json").read_text())
    tokenizer = open_clip.SimpleTokenizer(str(merges_file), context_length=config["text_cfg"]["context_length"])
    config["text_cfg"].pop("tokenizer_kwargs")
    clip = open_clip.CLIP(**config).to(args.device).train()
    decayed = [parameter for parameter in clip.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in clip.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98))
    warm_up = 200
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / warm_up) * (0.5 + 0.5 * math.cos(math.pi * min(1, step / args.steps))),
    )
    pictures = Pictures(rng, args.stock)
    started, recent = time.perf_counter(), []
    for step in range(args.steps):
        scenes, pixels = pictures.batch(args.batch_size)
        every_value = captions.of_every_value()
        claims = every_value | dict(captions.caption(scene) for scene in scenes)  # text -> claims, each text once
        images = (torch.from_numpy(pixels).to(args.device).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD
        tokens = tokenizer(list(claims)).to(args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            image_embeddings = clip.encode_image(images)
            text_embeddings = encode_cut(clip, tokens[:, : int(tokens.argmax(dim=-1).max()) + 1])
        logits = (
            clip.logit_scale.exp()
            * F.normalize(image_embeddings.float(), dim=-1)
            @ F.normalize(text_embeddings.float(), dim=-1).T
        )
        claimed = np.array(list(claims.values()))
        loss = multi_positive_loss(logits, true_of(scenes, claimed).to(args.device))
        loss = loss + within_factor_loss(logits[:, : len(every_value)], scenes, claimed[: len(every_value)])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            clip.logit_scale.clamp_(0, math.log(100))
        recent.append(loss.item())
        if (step + 1) % args.report_every == 0:
            seconds = (time.perf_counter() - started) / (step + 1)
            print(f"step {step + 1}  loss {np.mean(recent):.4f}  {seconds:.3f} s a step", flush=True)
            recent.clear()
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = {name: value.detach().half().contiguous().cpu() for name, value in clip.state_dict().items()}
            save_file(state, args.out / "tiny_clip.safetensors")
            (args.out / "tiny_clip.safetensors").chmod(0o644)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=ASSETS / "tiny_clip")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--stock", type=int, default=SCENES_IN_MEMORY, help="scenes kept in memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 matrix products")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report-every", type=int, default=100)
    parser.add_argument("--save-every", type=int, default=500)
    train(parser.parse_args())
