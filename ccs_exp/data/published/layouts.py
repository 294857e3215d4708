"""The layouts in which image data sets are distributed: which files of a folder belong to the test set, and their classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ccs_exp.data.images.folder import IMAGE_SUFFIXES, images_below, read_image
from ccs_exp.data.images.source import Decoder, Sample
from ccs_exp.data.published.cifar import CifarBinary
from ccs_exp.data.published.classes import ClassTable, some, targets_of, text_lines
from ccs_exp.errors import CcsError


class LabelledFiles:
    """Image files and their classes; names are relative to `root`."""

    def __init__(self, root: Path, files: Sequence[Path], targets: Sequence[int], decode: Decoder):
        self._root, self._files, self.targets, self._decode = root, files, targets, decode

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        path = self._files[index]
        return Sample(path.relative_to(self._root).as_posix(), read_image(path, self._decode), self.targets[index])


class Look(NamedTuple):
    """What is looked for: the folder, the classes, how images are decoded, and whether a copy may be incomplete."""

    folder: Path
    table: ClassTable
    decode: Decoder
    partial: bool


def cifar10_binary(look: Look) -> CifarBinary | None:
    """``test_batch.bin`` and ``batches.meta.txt`` of the binary version."""
    return _cifar(look, "cifar-10-batches-bin", "test_batch.bin", 1, "batches.meta.txt", "cifar-10-batches-py/test_batch")


def cifar100_binary(look: Look) -> CifarBinary | None:
    """``test.bin`` and ``fine_label_names.txt`` of the binary version."""
    return _cifar(look, "cifar-100-binary", "test.bin", 2, "fine_label_names.txt", "cifar-100-python/test")


def food101(look: Look) -> LabelledFiles | None:
    """``meta/test.txt`` lists the test photographs as ``apple_pie/1011328``, which lie under ``images/``."""
    for root in _roots(look.folder, "food-101"):
        lines = _lines(root, "meta/test.txt", needs="images")
        if lines is not None:
            names = [line.rpartition("/")[0] for line in lines]
            return _listed(look, root, "meta/test.txt", [f"{line}.jpg" for line in lines], names)
    return None


def oxford_pets(look: Look) -> LabelledFiles | None:
    """``annotations/test.txt`` lists the test photographs as ``Abyssinian_201 1 1 1``, which lie under ``images/``."""
    for root in _roots(look.folder, "oxford-iiit-pet"):
        lines = _lines(root, "annotations/test.txt", needs="images")
        if lines is not None:
            stems = [line.split()[0] for line in lines if not line.startswith("#")]
            names = [stem.rpartition("_")[0] for stem in stems]
            return _listed(look, root, "annotations/test.txt", [f"{stem}.jpg" for stem in stems], names)
    return None


def class_folders(look: Look) -> LabelledFiles | None:
    """A folder for each class, named as the set is distributed or like the class; here, or in a folder ``test``."""
    for root in (look.folder / "test", look.folder):
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".") if root.is_dir() else []
        classes = [look.table.index(path.name) for path in folders]
        if not any(index is not None for index in classes):
            continue
        unknown = [path.name for path, index in zip(folders, classes, strict=True) if index is None]
        if unknown:
            raise CcsError(
                f"{root} holds folders that are none of the {len(look.table)} classes: {some(unknown)}. Class folders are named like "
                f"{some(look.table.folders, 3)}. Rename or remove the others."
            )
        twice = [path.name for path, index in zip(folders, classes, strict=True) if classes.count(index) > 1]
        if twice:
            raise CcsError(f"{root} holds several folders of one class: {some(twice)}. Keep one folder for each class.")
        found = [(file, index) for index, path in sorted(zip(classes, folders, strict=True)) for file in images_below(path)]
        if not found:
            raise CcsError(f"{root} has class folders, but no image in them ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        return LabelledFiles(root, [file for file, _ in found], [index for _, index in found], look.decode)
    return None


LAYOUTS: dict[str, Callable[[Look], CifarBinary | LabelledFiles | None]] = {
    layout.__name__: layout for layout in (cifar10_binary, cifar100_binary, food101, oxford_pets, class_folders)
}


def _roots(folder: Path, archive: str) -> list[Path]:
    """The folder itself, and the one that unpacking the distributed archive in it makes."""
    return [folder, folder / archive]


def _cifar(look: Look, archive: str, test_file: str, label_bytes: int, names_file: str, pickle: str) -> CifarBinary | None:
    for root in _roots(look.folder, archive):
        if (root / test_file).is_file():
            images = CifarBinary(root / test_file, label_bytes, names_file, look.decode)
            images.targets = targets_of(images.labels, images.label_names, look.table, str(root / test_file))
            return images
    batches = Path(pickle)
    if any(path.is_file() for path in (look.folder / batches, look.folder / batches.name)):
        raise CcsError(
            f"{look.folder} holds the Python version of the data set, which are pickle files: reading those from outside can run any "
            f"code, so they are not read. Fetch the binary version ({archive}/{test_file}) from the same page, or give class folders."
        )
    return None


def _lines(root: Path, name: str, needs: str) -> list[str] | None:
    """The lines of the split file; None where this is not the layout."""
    if not (root / needs).is_dir():
        return None
    if not (root / name).is_file():
        raise CcsError(f"{root} has {needs}/ but no {name}, the list of the test images. Both belong to the distributed archive.")
    return text_lines(root / name)


def _listed(look: Look, root: Path, name: str, files: Sequence[str], class_names: Sequence[str]) -> LabelledFiles:
    """The images that a split file lists. Missing ones are an error, unless the copy may be partial."""
    strange = [file for file in files if file.startswith("/") or ".." in Path(file).parts]
    if strange:
        raise CcsError(f"{root / name} lists files outside its folder: {some(strange)}. It is no split file of this data set.")
    targets = targets_of(class_names, None, look.table, str(root / name))
    there = [(root / "images" / file).is_file() for file in files]
    missing = [file for file, is_there in zip(files, there, strict=True) if not is_there]
    if missing and not (look.partial and any(there)):
        raise CcsError(
            f"{len(missing):,} of the {len(files):,} images that {root / name} lists are not in {root / 'images'}: {some(missing)}. "
            "Complete the copy, or add dataset.partial=true to evaluate what is there."
        )
    kept = [(root / "images" / file, target) for file, target, is_there in zip(files, targets, there, strict=True) if is_there]
    return LabelledFiles(root, [file for file, _ in kept], [target for _, target in kept], look.decode)
