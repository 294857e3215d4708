"""Images in a folder: one folder a class, or all in one place for a probe."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ccs_exp.data.images.source import AS_IT_IS, Decoder, Sample
from ccs_exp.errors import CcsError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"})


class ClassFolders:
    """A folder of class folders; classes in the order of their names, `class_names` with underscores as spaces.

    Raises `CcsError` for a missing folder, one without class folders, and class folders without images.
    """

    def __init__(self, path: str | Path):
        self.path = existing_folder(path)
        folders = sorted(entry for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(folders) < 2:
            found = f"only the class folder {folders[0].name}" if folders else "no class folders"
            raise CcsError(f"{self.path} has {found}. Expected is a folder for each of at least two classes, holding its images.")
        per_class = [images_below(folder) for folder in folders]
        empty = [folder.name for folder, images in zip(folders, per_class, strict=True) if not images]
        if empty:
            raise CcsError(
                f"{self.path}: no image in the class folder{'s' if len(empty) > 1 else ''} {', '.join(empty)}. "
                f"Add images ({', '.join(sorted(IMAGE_SUFFIXES))}) or remove the folder."
            )
        self.class_names = tuple(folder.name.replace("_", " ") for folder in folders)
        self._samples = [(path, target) for target, images in enumerate(per_class) for path in images]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        path, target = self._samples[index]
        return Sample(path.relative_to(self.path).as_posix(), read_image(path), target)


class ImageFolder:
    """All images below a folder, classes disregarded; with `num_images` that many of them, evenly spread over the sorted names."""

    class_names = ("image",)

    def __init__(self, path: str | Path, num_images: int | None = None):
        self.path = existing_folder(path)
        paths = images_below(self.path)
        if not paths:
            raise CcsError(
                f"{self.path} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}). Set probe.path to a folder of images."
            )
        if num_images is not None and num_images < len(paths):
            paths = [paths[position * len(paths) // num_images] for position in range(num_images)]
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        path = self._paths[index]
        return Sample(path.relative_to(self.path).as_posix(), read_image(path), 0)


def read_image(path: Path, decode: Decoder = AS_IT_IS) -> Image.Image:
    """Decode an image as RGB; raises `UnreadableImage` naming the file."""
    return decode(path, str(path))


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


def images_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
