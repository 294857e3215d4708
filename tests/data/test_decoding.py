"""What is an image, what picture its bytes become, and what of it is refused."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from local_copies import batches, class_folders, load, picture, small, to_tensor
from PIL import Image, ImageOps, features

from ccs_exp.config.schema import configure
from ccs_exp.data.images import decoding
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.decoding import STANDARD, Decoder, image_formats, image_suffixes, is_image
from ccs_exp.data.images.folder import ClassFolders, ImageFolder
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.data.published.classes import class_table
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.keys import images_key

SEEN = Decoder(as_seen=True)
RAMP = np.linspace(0, 1, 64).reshape(8, 8)  # black to white


def saved(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return io.BytesIO(content.getvalue())


def grey(picture):
    return np.asarray(picture)[..., 0].astype(int)


@pytest.mark.parametrize("decode", [STANDARD, SEEN])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((RAMP * 65535).astype(np.uint16), "PNG"),
        ((RAMP * 65535).astype(np.uint16), "TIFF"),
        ((RAMP * 65535).astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        ((RAMP * 255).astype(np.float32), "TIFF"),
        ((RAMP * 9000 - 4000).astype(np.float32), "TIFF"),
        ((RAMP * 1_000_000).astype(np.int32), "TIFF"),
    ],
)
def test_grey_values_of_more_than_eight_bits_are_scaled_not_clipped(values, kind, decode):
    """Pillow's own conversion makes the 16-bit picture white and the floats black."""
    found = grey(decode(saved(Image.fromarray(values), kind), "it"))
    assert np.abs(found - RAMP * 255).max() <= 1


def test_eight_bits_are_left_as_they_are_and_dark_pictures_stay_dark():
    eight = (RAMP * 255).astype(np.uint8)
    assert (grey(STANDARD(saved(Image.fromarray(eight)), "it")) == eight).all()
    assert grey(STANDARD(saved(Image.fromarray((RAMP * 6553).astype(np.uint16))), "it")).max() == 25
    assert grey(STANDARD(saved(Image.fromarray(np.full((4, 4), 3.0e5, np.float32)), "TIFF"), "it")).max() == 0
    with pytest.raises(UnreadableImage, match="no finite numbers"):
        STANDARD(saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "it")


def test_a_transparent_value_of_sixteen_bits_is_white_for_users_alone():
    values = np.full((4, 4), 30000, np.uint16)
    values[0] = 5
    file = saved(Image.fromarray(values), transparency=5)
    assert grey(SEEN(file, "it"))[:, 0].tolist() == [255, 117, 117, 117]
    assert grey(STANDARD(file, "it"))[:, 0].tolist() == [0, 117, 117, 117]


def test_zero_is_white_where_a_tiff_says_so():
    values, content = np.zeros((4, 4), np.uint16), io.BytesIO()
    values[0] = 65535
    Image.fromarray(values).save(content, "TIFF", tiffinfo={262: 0})
    assert grey(STANDARD(content, "it"))[:, 0].tolist() == [0, 255, 255, 255]


def photo(orientation, kind="JPEG"):
    """Wider than high, its left half red; the tag says how it must be turned."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(pixels), kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_photographs_of_users_stand_upright(kind):
    turned, stored = SEEN(photo(6, kind), "it"), STANDARD(photo(6, kind), "it")
    assert turned.size == (16, 32) and stored.size == ((16, 32) if kind == "TIFF" else (32, 16)), "Pillow itself turns TIFFs"
    assert grey(turned)[:15].min() > 150 and grey(turned)[17:].max() < 50
    assert SEEN(photo(1, kind), "it").tobytes() == STANDARD(photo(1, kind), "it").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_pillow_turns_them(orientation):
    """Those in JPEG, which are turned where they lie, as all others, of which a copy is made."""
    with Image.open(photo(orientation)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(np.asarray(SEEN(photo(orientation), "it")), np.asarray(expected))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_is_white_for_users_and_as_it_is_stored_for_published_sets(mode):
    image = Image.new("RGBA", (8, 8), (200, 30, 30, 255))
    image.paste((0, 0, 255, 0), (0, 0, 8, 4))  # hidden blue
    if mode == "P":
        image = image.quantize(8)
    elif mode != "RGBA":
        image = image.convert("LA") if mode == "LA" else image.convert("P").convert("PA")
    if mode == "PA":
        image.putalpha(Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 32).reshape(8, 8)))
    file = saved(image, "TIFF" if mode == "PA" else "PNG")
    top = np.asarray(SEEN(file, "it"))[:4]
    assert (top == 255).all() and np.asarray(SEEN(file, "it"))[4:].max() < 255
    assert not (np.asarray(STANDARD(file, "it"))[:4] == 255).all()


def test_half_transparent_pixels_are_mixed_with_white():
    file = saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))
    assert abs(int(grey(SEEN(file, "it"))[0, 0]) - 127) <= 1 and grey(STANDARD(file, "it")).max() == 0


def test_folders_of_users_are_seen_as_people_see_them_unless_they_say_otherwise(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(photo(6).getvalue())
    for overrides, size, way in (((), (16, 32), "upright and on white"), (("dataset.source.decoding=standard",), (32, 16), "as stored")):
        cfg = configure("dataset=folder", f"dataset.path={tmp_path}", *overrides)
        source = build(cfg.dataset.source)
        assert source[0].image.size == size and way in source.decoder
    probe = build(configure("probe=folder", f"probe.path={tmp_path}").probe.source)
    assert probe[0].image.size == (16, 32) and "upright" in probe.decoder
    first = configure("dataset=folder", f"dataset.path={tmp_path}")
    keys = [images_key(chosen, chosen.dataset) for chosen in (first, cfg)]
    assert keys[0] != keys[1], "which way was taken is part of the key"
    with pytest.raises(CcsError, match="decoding=lying is not known"):
        ClassFolders(tmp_path, decoding="lying")


def test_published_sets_keep_the_standard_way(tmp_path):
    class_folders(tmp_path, class_table("cifar10").folders, 1, ".jpg")
    (tmp_path / "cat" / "0000.jpg").write_bytes(photo(6).getvalue())
    source = load("cifar10", tmp_path, *small(10, 1))
    assert source[3].image.size == (32, 16) and "as stored" in source.decoder


def test_images_are_what_pillow_opens(tmp_path):
    assert {".jpg", ".png", ".webp", ".tiff", ".ppm", ".bmp", ".gif"} <= image_suffixes()
    assert (".avif" in image_suffixes()) == features.check("avif")
    assert not {".eps", ".ps", ".mpg", ".mpeg", ".wmf", ".h5", ".grib", ".txt", ".json", ".mp4"} & image_suffixes(), "no image is read"
    for suffix in (".png", ".webp", *([".avif"] if features.check("avif") else [])):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            picture(3).save(tmp_path / name / f"1{suffix}")
    source = ClassFolders(tmp_path)
    assert len(source) == 2 * len([suffix for suffix in (".png", ".webp", ".avif") if suffix in image_suffixes()])
    assert [source[index].image.size for index in range(len(source))] == [(32, 32)] * len(source)


def test_no_file_starts_another_program(tmp_path):
    """An EPS file under an image's name would be handed to Ghostscript."""
    (tmp_path / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    assert "EPS" not in image_formats() and is_image(tmp_path / "1.png")
    with pytest.raises(UnreadableImage, match=r"1\.png cannot be decoded"):
        ImageFolder(tmp_path)[0]


def huge_png(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, width, height, monkeypatch):
    monkeypatch.setattr(decoding, "_eight_bits", lambda image: pytest.fail("it was about to be decoded"))
    (tmp_path / "1.png").write_bytes(huge_png(width, height))
    with pytest.raises(UnreadableImage, match=r"1\.png cannot be decoded as an image .*pixels"):
        ImageFolder(tmp_path)[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI", "DDS", "QOI"])
def test_damaged_bytes_are_an_unreadable_image_and_never_a_traceback(kind):
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    whole = saved(picture(7), kind).getvalue()
    dice = random.Random(kind)
    for decode in (STANDARD, SEEN):
        for _ in range(60):
            spoiled = bytearray(whole)
            for _ in range(dice.randint(1, 12)):
                spoiled[dice.randrange(min(len(spoiled), 400))] = dice.randrange(256)
            try:
                assert decode(io.BytesIO(bytes(spoiled[: dice.randint(1, len(spoiled))])), "it").mode == "RGB"
            except UnreadableImage as error:
                assert "it cannot be decoded as an image" in str(error)


def test_hostile_orientation_tags_are_survived(tmp_path):
    file = photo(6).getvalue()
    at = file.index(b"Exif\0\0") + 6
    dice = random.Random(0)
    for _ in range(100):
        spoiled = bytearray(file)
        spoiled[at + dice.randrange(40)] = dice.randrange(256)
        try:
            SEEN(io.BytesIO(bytes(spoiled)), "it")
        except UnreadableImage as error:
            assert "it cannot be decoded" in str(error)


# numbers that would look plausible


def oddities(path, **options):
    data = ImageData(ClassFolders(path), to_tensor, num_workers=0, **options)
    batches(data)
    return " ".join(data.oddities())


def test_copies_and_pictures_of_one_colour_are_counted(tmp_path):
    class_folders(tmp_path, ["ant", "bee"], 1)
    assert oddities(tmp_path) == ""
    picture(0).save(tmp_path / "ant" / "copy.png")
    picture(0).save(tmp_path / "bee" / "copy.png")
    Image.new("RGB", (32, 32), (9, 9, 9)).save(tmp_path / "bee" / "flat.png")
    said = oddities(tmp_path)
    assert "1 of 5 images are of one colour: bee/flat.png." in said
    assert "2 of 5 images repeat others, 1 of them in another class: ant/copy.png = ant/0000.png, bee/copy.png = ant/0000.png." in said


def test_pictures_that_differ_in_one_pixel_are_not_the_same(tmp_path):
    for name, value in (("ant", 10), ("bee", 11)):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[5, 7] = value
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
    assert oddities(tmp_path) == ""


def test_the_bundled_data_has_nothing_odd():
    for name in ("scenes_shape", "digits"):
        data = ImageData(build(configure(f"dataset={name}").dataset.source), to_tensor)
        batches(data)
        assert data.oddities() == []
