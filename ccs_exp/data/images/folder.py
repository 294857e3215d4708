"""Images in a folder: one folder a class, or all in one place for a probe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccs_exp.data.images.class_names import names_in_file, names_of_folders
from ccs_exp.data.images.decoding import Decoding, decoder_of, image_suffixes, is_image
from ccs_exp.data.images.labelled import ImageFiles
from ccs_exp.errors import CcsError
from ccs_exp.files import some, walk

_TRAINED_ON = frozenset({"train", "training"})
_EVALUATED = ("test", "testing", "val", "valid", "validation", "eval", "dev")  # the first that is there is the one to take


class ClassFolders(ImageFiles):
    """A folder of class folders; classes in the order of their names, `class_names` as `names_of_folders` or a file says.

    Args:
        class_names: a CSV file with the columns ``folder,name``; None: by the folders' names.
        decoding: `as_seen` or `standard`.

    Raises `CcsError` for a missing folder, one without class folders, class folders without images, and a folder of splits.
    """

    def __init__(self, path: str | Path, class_names: str | None = None, decoding: Decoding = "as_seen"):
        self.path = existing_folder(path)
        folders = class_folders_in(self.path)
        names = [folder.name for folder in folders]
        _refuse_splits(self.path, folders)
        if len(folders) < 2:
            found = f"only the class folder {names[0]}" if folders else "no class folders"
            raise CcsError(f"{self.path} has {found}. Expected is a folder for each of at least two classes, holding its images.")
        tree = walk(self.path)
        index = {name: target for target, name in enumerate(names)}
        inside = [(file, file.relative_to(self.path).parts) for file in tree.files if is_image(file)]
        files = [(file, index[parts[0]]) for file, parts in inside if len(parts) > 1 and parts[0] in index]
        super().__init__(self.path, [file for file, _ in files], [target for _, target in files], decoder_of(decoding))
        there = set(self.targets)
        empty = [name for name in names if index[name] not in there]
        if empty:
            linked = [str(link) for link in tree.again]
            also = f" Links to what is in another folder already: {some(linked)}." if linked else ""
            raise CcsError(
                f"{self.path}: no image in the class folder{'s' if len(empty) > 1 else ''} {some(empty)}.{also} "
                f"Add images ({', '.join(sorted(image_suffixes()))}) or remove the folder."
            )
        if class_names is None:
            self.class_names, notes = names_of_folders(names)
        else:
            self.class_names, notes = names_in_file(class_names, names), ()
        self.notes = (*notes, *tree.left_out(frozenset(self._files), "image in a class folder"))


class ImageFolder(ImageFiles):
    """All images below a folder, classes disregarded; with `num_images` that many of them, evenly spread over the sorted names."""

    class_names = ("image",)

    def __init__(self, path: str | Path, num_images: int | None = None, decoding: Decoding = "as_seen"):
        self.path = existing_folder(path)
        tree = walk(self.path)
        paths = [file for file in tree.files if is_image(file)]
        if not paths:
            raise CcsError(
                f"{self.path} holds no image ({', '.join(sorted(image_suffixes()))}). Set probe.path to a folder of images."
            )
        self.notes = tree.left_out(frozenset(paths), "image")
        if num_images is not None and num_images < len(paths):
            paths = [paths[position * len(paths) // num_images] for position in range(num_images)]
        super().__init__(self.path, paths, [0] * len(paths), decoder_of(decoding))


def existing_folder(path: str | Path) -> Path:
    """`path`, its ``~`` resolved. Raises `CcsError` unless it is a folder that can be read."""
    folder = Path(path).expanduser()
    try:
        if not folder.is_dir():
            raise CcsError(f"{path} is not a folder. Give the folder that holds the images.")
        next(folder.iterdir(), None)
    except OSError as error:
        raise CcsError(f"{path} cannot be read: {error.strerror}. Give the folder that holds the images.") from error
    return folder


def class_folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to such included, hidden ones and ``__MACOSX`` left out, by name."""
    inside = existing_folder(folder).iterdir()
    return sorted(path for path in inside if path.is_dir() and path.name[0] != "." and path.name != "__MACOSX")


def _refuse_splits(root: Path, folders: Sequence[Path]) -> None:
    """Folders named like the parts of a data set are no classes."""
    named = {folder.name.casefold(): folder for folder in folders}
    evaluated = [named[name] for name in _EVALUATED if name in named]
    trained_on = [named[name] for name in _TRAINED_ON if name in named]
    others = len(folders) - len(evaluated) - len(trained_on)
    if not folders or (others and not (evaluated and trained_on and class_folders_in(evaluated[0]))):
        return
    parts = ", ".join(folder.name for folder in (*trained_on, *evaluated))
    inside = next((folder for folder in (*evaluated, *trained_on) if class_folders_in(folder)), None)
    way_out = f"Evaluate one of them: dataset.path={inside}." if inside else "Expected is a folder for each class, holding its images."
    raise CcsError(f"{root} holds the parts of a data set ({parts}), not its classes. {way_out}")
