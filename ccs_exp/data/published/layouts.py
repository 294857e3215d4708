"""The layouts in which image data sets are distributed: which files of a folder belong to the test set, and their classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ccs_exp.data.images.decoding import Decoder, image_suffixes, is_image
from ccs_exp.data.images.folder import class_folders_in
from ccs_exp.data.images.labelled import ImageFiles, Labelled, PixelArrays
from ccs_exp.data.published.classes import ClassTable, targets_of
from ccs_exp.data.published.mat_files import read_mat, whole_numbers
from ccs_exp.errors import CcsError
from ccs_exp.files import look_alikes, read_lines, some, walk


class Look(NamedTuple):
    """What is looked for: the folder, the classes, how images are decoded, and whether a copy may be incomplete."""

    folder: Path
    table: ClassTable
    decode: Decoder
    partial: bool


def cifar10_binary(look: Look) -> PixelArrays | None:
    """``test_batch.bin`` and ``batches.meta.txt`` of the binary version."""
    return _cifar(look, "cifar-10-batches-bin", "test_batch.bin", 1, "batches.meta.txt", "cifar-10-batches-py/test_batch")


def cifar100_binary(look: Look) -> PixelArrays | None:
    """``test.bin`` and ``fine_label_names.txt`` of the binary version."""
    return _cifar(look, "cifar-100-binary", "test.bin", 2, "fine_label_names.txt", "cifar-100-python/test")


def food101(look: Look) -> ImageFiles | None:
    """``meta/test.txt`` lists the test photographs as ``apple_pie/1011328``, which lie under ``images/``."""
    return _of_list(look, "food-101", "meta/test.txt", lambda line: (f"{line}.jpg", line.rpartition("/")[0]))


def oxford_pets(look: Look) -> ImageFiles | None:
    """``annotations/test.txt`` lists the test photographs as ``Abyssinian_201 1 1 1``, which lie under ``images/``."""

    def read(line: str) -> tuple[str, str]:
        stem = line.split()[0]
        return f"{stem}.jpg", stem.rpartition("_")[0]

    return _of_list(look, "oxford-iiit-pet", "annotations/test.txt", read)


def dtd(look: Look) -> ImageFiles | None:
    """``labels/test1.txt`` lists the test images of the first split as ``banded/banded_0002.jpg``, which lie under ``images/``."""
    return _of_list(look, "dtd", "labels/test1.txt", lambda line: (line, line.rpartition("/")[0]))


def fgvc_aircraft(look: Look) -> ImageFiles | None:
    """``images_variant_test.txt`` lists the test photographs as ``1514522 707-320``, which lie under ``images/``."""

    def read(line: str) -> tuple[str, str]:
        stem, _, name = line.partition(" ")
        return f"{stem}.jpg", name

    return _of_list(look, "fgvc-aircraft-2013b/data", "images_variant_test.txt", read, "data")


def flowers102(look: Look) -> ImageFiles | None:
    """``setid.mat`` lists the test photographs by number, ``imagelabels.mat`` the classes of all; they lie under ``jpg/``."""
    for root in _roots(look.folder, "flowers-102"):
        if (root / "jpg").is_dir():
            _needed(root, "jpg", "setid.mat", "imagelabels.mat")
            numbers = whole_numbers(root / "setid.mat", read_mat(root / "setid.mat", "tstid")[0])
            classes = whole_numbers(root / "imagelabels.mat", read_mat(root / "imagelabels.mat", "labels")[0])
            if not all(0 < number <= len(classes) for number in numbers):
                raise CcsError(f"{root / 'setid.mat'} lists images that {root / 'imagelabels.mat'} has no class of. Fetch both again.")
            files = [f"image_{number:05d}.jpg" for number in numbers]
            return _listed(look, root, "setid.mat", files, [classes[number - 1] - 1 for number in numbers], "jpg")
    return None


def stanford_cars(look: Look) -> ImageFiles | None:
    """``cars_test_annos_withlabels.mat`` lists the test photographs and their classes by number; they lie under ``cars_test/``."""
    for root in _roots(look.folder, "stanford_cars"):
        if (root / "cars_test").is_dir():
            listing = root / "cars_test_annos_withlabels.mat"
            _needed(root, "cars_test", listing.name)
            (found,) = read_mat(listing, "annotations")
            if not {"fname", "class"} <= set(found.dtype.names or ()):
                raise CcsError(f"{listing} names no fname and class of each image. Fetch it again: its name ends in _withlabels.mat.")
            files = [str(name.item()) for name in found["fname"].ravel()]
            classes = whole_numbers(listing, [number.item() for number in found["class"].ravel()])
            return _listed(look, root, listing.name, files, [number - 1 for number in classes], "cars_test")
    return None


def svhn(look: Look) -> PixelArrays | None:
    """``test_32x32.mat`` holds the images themselves."""
    file = look.folder / "test_32x32.mat"
    if not file.is_file():
        return None
    pixels, classes = read_mat(file, "X", "y")
    labels = [number % 10 for number in whole_numbers(file, classes)]  # a zero is a ten there
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[2:] != (3, len(labels)):
        raise CcsError(
            f"{file} has images of {pixels.dtype} {'x'.join(map(str, pixels.shape))} and {len(labels):,} classes; expected are "
            "bytes, height x width x 3 x images. Fetch it again."
        )
    return PixelArrays(pixels.transpose(3, 0, 1, 2), targets_of(labels, None, look.table, str(file)), look.decode)


def oxford_pets_whole(look: Look) -> ImageFiles | None:
    """All photographs ``images/Abyssinian_201.jpg``, also those of the training set and those that no list names."""
    for root in _roots(look.folder, "oxford-iiit-pet"):
        if (root / "images").is_dir() and (root / "annotations").is_dir():
            files = [path for path in walk(root / "images").files if is_image(path)]
            targets = targets_of([path.stem.rpartition("_")[0] for path in files], None, look.table, str(root / "images"))
            return ImageFiles(root, files, targets, look.decode)
    return None


def class_folders(look: Look) -> ImageFiles | None:
    """A folder for each class, named as the set is distributed or like the class; here, or in a folder ``test``."""
    for root in (look.folder / "test", look.folder):
        names = [path.name for path in class_folders_in(root)] if root.is_dir() else []
        classes = {name: index for name in names if (index := look.table.index(name)) is not None}
        if not classes:
            continue
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise CcsError(
                f"{root} holds folders that are none of the {len(look.table)} classes: {some(unknown)}. Class folders are named like "
                f"{some(look.table.folders, 3)}. Rename or remove the others.{look_alikes(unknown, look.table.names)}"
            )
        twice = [name for name, index in classes.items() if list(classes.values()).count(index) > 1]
        if twice:
            raise CcsError(f"{root} holds several folders of one class: {some(twice)}. Keep one folder for each class.")
        tree = walk(root)
        inside = [(file, file.relative_to(root).parts) for file in tree.files if is_image(file)]
        found = sorted((classes[parts[0]], file) for file, parts in inside if len(parts) > 1)
        if not found:
            raise CcsError(f"{root} has class folders, but no image in them ({', '.join(sorted(image_suffixes()))}).")
        files, targets = [file for _, file in found], [target for target, _ in found]
        images = ImageFiles(root, files, targets, look.decode)
        images.notes = tree.left_out(frozenset(files), "image in a class folder")
        return images
    return None


_ALL: tuple[Callable[[Look], Labelled | None], ...] = (cifar10_binary, cifar100_binary, food101, oxford_pets)
_ALL += (oxford_pets_whole, dtd, fgvc_aircraft, flowers102, stanford_cars, svhn, class_folders)
LAYOUTS: dict[str, Callable[[Look], Labelled | None]] = {layout.__name__: layout for layout in _ALL}


def _roots(folder: Path, *archives: str) -> list[Path]:
    """The folder itself, and those that unpacking the distributed archive in it makes."""
    return [folder, *(folder / archive for archive in archives)]


def _cifar(look: Look, archive: str, test_file: str, label_bytes: int, names_file: str, pickle: str) -> PixelArrays | None:
    for root in _roots(look.folder, archive):
        file, names = root / test_file, root / names_file
        if file.is_file():
            content, record = np.fromfile(file, np.uint8), label_bytes + 3 * 32 * 32  # the last label byte is the class
            if len(content) == 0 or len(content) % record:
                raise CcsError(f"{file} has {len(content):,} bytes, not a whole number of records of {record:,}. Fetch it again.")
            records, label_names = content.reshape(-1, record), read_lines(names) if names.is_file() else None
            targets = targets_of(records[:, label_bytes - 1].tolist(), label_names, look.table, str(file))
            return PixelArrays(records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), targets, look.decode)
    batches = Path(pickle)
    if any(path.is_file() for path in (look.folder / batches, look.folder / batches.name)):
        raise CcsError(
            f"{look.folder} holds the Python version of the data set, which are pickle files: reading those from outside can run any "
            f"code, so they are not read. Fetch the binary version ({archive}/{test_file}) from the same page, or give class folders."
        )
    return None


def _of_list(look: Look, archive: str, listing: str, read: Callable[[str], tuple[str, str]], *others: str) -> ImageFiles | None:
    """The images under ``images/`` that a text file lists; `read` tells the file and the class's name of a line, those with # apart."""
    for root in _roots(look.folder, archive, *others):
        if (root / "images").is_dir():
            _needed(root, "images", listing)
            pairs = [read(line) for line in read_lines(root / listing) if not line.startswith("#")]
            return _listed(look, root, listing, [file for file, _ in pairs], [name for _, name in pairs])
    return None


def _needed(root: Path, images: str, *listings: str) -> None:
    for name in listings:
        if not (root / name).is_file():
            raise CcsError(f"{root} has {images}/ but no {name}, the list of the test images. Both belong to the distributed archive.")


def _listed(
    look: Look, root: Path, name: str, files: Sequence[str], classes: Sequence[str] | Sequence[int], images: str = "images"
) -> ImageFiles:
    """The images that a split file lists, by class names or numbers from 0. Missing ones are an error, unless the copy may be partial."""
    _check_inside(files, str(root / name))
    targets = targets_of(classes, None, look.table, str(root / name))
    there = are_there(root / images, files, str(root / name), look.partial)
    kept = [(root / images / file, target) for file, target, is_there in zip(files, targets, there, strict=True) if is_there]
    return ImageFiles(root, [file for file, _ in kept], [target for _, target in kept], look.decode)


def _check_inside(files: Sequence[str], listing: str) -> None:
    strange = [file for file in files if file.startswith("/") or ".." in Path(file).parts]
    if strange:
        raise CcsError(f"{listing} lists files outside its folder: {some(strange)}. It is no list of this data set.")


def are_there(folder: Path, files: Sequence[str], listing: str, partial: bool) -> list[bool]:
    """Whether each file that `listing` names is in `folder`. Missing ones are an error, unless the copy may be `partial`."""
    _check_inside(files, listing)
    there = [(folder / file).is_file() for file in files]
    missing = [file for file, is_there in zip(files, there, strict=True) if not is_there]
    if missing and not (partial and any(there)):
        raise CcsError(
            f"{len(missing):,} of the {len(files):,} images that {listing} lists are not in {folder}: {some(missing)}. "
            "Complete the copy, or add dataset.partial=true to evaluate what is there."
        )
    return there
