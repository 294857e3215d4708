"""Photographs with several captions each, for retrieval by text and of text: a photograph is a video of one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ccs_exp.data.images.decoding import STANDARD, Decoder, is_image
from ccs_exp.data.images.folder import existing_folder
from ccs_exp.data.published.hub import HubSource, files_of
from ccs_exp.data.published.tars import Member, missing_shards, tar_samples
from ccs_exp.data.videos.captioned import CaptionedVideos, FrameImages, Video, captioned
from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv, read_json, some, walk

CAPTIONS = ".txt"


@dataclass(frozen=True)
class TarPhotograph:
    """An image in a tar, read at its place."""

    video_id: str
    shard: Path
    member: Member
    decode: Decoder = STANDARD

    def frames(self, number: int) -> list[Image.Image]:
        return [self.member.image(self.shard, self.decode)] * number


def captioned_images(
    data_set: str, samples: int, hub: HubSource, captions: str, path: str | None = None, partial: bool = False
) -> CaptionedVideos:
    """The photographs of `data_set` and their captions: the hub's tars, an image and a text of one caption a line for each sample.

    In a local copy they may also be as distributed: images anywhere below `path`, and the file `captions`, which is CSV with the columns
    ``image,caption`` or JSON in COCO's format.

    Raises `CcsError` for a photograph without a caption, a caption without its photograph, and another number than `samples`, unless
    `partial` says that the copy may be incomplete.
    """
    folder = None if path is None else existing_folder(path)
    shards = files_of(hub, folder)
    if shards:
        missing_shards(shards, partial)
        images, texts = _of_tars(shards)
    elif folder is not None:
        images, texts = _of_folder(folder, captions, hub)
    else:
        raise CcsError(f"{hub.repository} holds no {hub.files}.")
    where = hub.page if path is None else path
    if len(texts) != samples and not partial:
        raise CcsError(
            f"{data_set}: {where} has {len(texts):,} captioned photographs, the test set has {samples:,}. Complete the copy, or say that "
            "it is known to differ with dataset.partial=true."
        )
    return captioned(images, texts, data_set, where, partial, noun="photograph")


def _of_tars(shards: Sequence[Path]) -> tuple[dict[str, Video], dict[str, list[str]]]:
    images: dict[str, Video] = {}
    texts: dict[str, list[str]] = {}
    for shard in shards:
        members, contents = tar_samples(shard, CAPTIONS)
        for key, member in members.items():
            name = f"{shard.stem}/{key}"
            images[name] = TarPhotograph(name, shard, member)
            lines = contents[key].decode("utf-8", "replace").replace("\r", "\n").split("\n")
            texts[name] = [line.strip() for line in lines if line.strip()]
    return images, texts


def _of_folder(folder: Path, captions: str, hub: HubSource) -> tuple[dict[str, Video], dict[str, list[str]]]:
    files = walk(folder).files
    listed = next((file for file in files if file.name == captions), None)
    if listed is None:
        raise CcsError(f"{folder} holds no {captions}, at any depth, and no {hub.files} of {hub.page}. It needs one of them.")
    texts: dict[str, list[str]] = {}
    for name, text in _coco(listed) if listed.suffix == ".json" else _table(listed):
        texts.setdefault(name, []).append(text)
    images: dict[str, Video] = {
        file.name: FrameImages(file.name, (file,), STANDARD) for file in files if is_image(file) and file.name in texts
    }
    return images, texts


def _table(file: Path) -> list[tuple[str, str]]:
    return [(row.text("image").strip(), row["caption"] or "") for row in read_csv(file, ("image", "caption"))]


def _coco(file: Path) -> list[tuple[str, str]]:
    """Pairs of file name and caption, in the order of the images."""
    content = read_json(file)
    try:
        of_image: Mapping[int, list[str]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            of_image[annotation["image_id"]].append(str(annotation["caption"]))
        return [(str(image["file_name"]), text) for image in content["images"] for text in of_image[image["id"]] or [""]]
    except (TypeError, KeyError) as error:
        raise CcsError(
            f"{file} is not in COCO's format ({some([str(error)])} is missing or names no image): images with id and file_name, "
            "annotations with image_id and caption."
        ) from error
