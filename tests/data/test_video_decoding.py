"""Frames of videos: which are chosen, and that what is read is exactly what a decoder of everything gives."""

import itertools
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_videos import number_of, rotate, write_audio, write_video

from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.data.videos import decoding as video_decoding
from ccs_exp.data.videos.decoding import frame_indices, read_frames
from ccs_exp.errors import CcsError

av = pytest.importorskip("av")
CLIPS = (
    "decord_flipping_a_pancake.mkv", "mmaction2_demo.mp4", "mmaction2_demo_skeleton.mp4", "mmaction2_demo_spatiotemporal_det.mp4",
    "mmaction2_test.avi", "mmaction2_test.mp4", "mmaction2_test_video_structuralize.mp4", "torchcodec_nasa_13013.mp4",
)  # fmt: skip


@given(st.integers(1, 5000), st.integers(1, 64))
def test_indices_are_the_middles_of_equal_intervals(count, number):
    chosen = frame_indices(count, number)
    distinct = min(count, number)
    assert len(chosen) == number and set(chosen[distinct:]) <= {chosen[distinct - 1]}
    for interval, index in enumerate(chosen[:distinct]):
        a, b = (count * end // distinct for end in (interval, interval + 1))
        assert a <= index < b and -1 <= (index - a) - (b - 1 - index) <= 0  # as many before as after, or one less


@pytest.mark.parametrize("number", [12, 32])
def test_indices_are_those_of_retrievals_loaders(number):
    for count in range(1, 3000):  # they cut by floating point, which for these numbers cuts at the same places
        ends = np.linspace(0, count, min(count, number) + 1).astype(int)
        middles = [(a + b - 1) // 2 for a, b in itertools.pairwise(ends)]
        assert frame_indices(count, number) == middles + [middles[-1]] * (number - len(middles))


def test_no_frame_is_no_choice():
    with pytest.raises(ValueError, match="12 of 0 frames"):
        frame_indices(0, 12)


def plain_frames(path, number):
    """The reference: decode everything in order, then choose."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.best("video")))
        return [frames[index].to_image() for index in frame_indices(len(frames), number)]


def same(images, others):
    return len(images) == len(others) and all(map(np.array_equal, map(np.asarray, images), map(np.asarray, others)))


@pytest.fixture(scope="module", params=CLIPS)
def clip(shared, request):
    path = shared / "data" / "video" / "clips" / request.param
    if not path.is_file():
        pytest.skip(f"{request.param} is not among the real inputs")
    return path


@pytest.mark.parametrize("number", [12, 32])
def test_real_clips_give_the_frames_of_a_plain_loop(clip, number):
    assert same(read_frames(clip, number), plain_frames(clip, number))


def test_real_clips_give_ffmpegs_frames(clip):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    images = read_frames(clip, 12)
    indices = frame_indices(len(plain_times(clip)), 12)
    select = "+".join(rf"eq(n\,{index})" for index in indices)
    command = ["ffmpeg", "-v", "error", "-i", clip, "-vf", f"select={select}", "-vsync", "0"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    theirs = np.frombuffer(raw, np.uint8).reshape(12, images[0].height, images[0].width, 3).astype(int)
    difference = np.abs(np.stack([np.asarray(image) for image in images]) - theirs)
    assert difference.max() <= 2 and difference.mean() < 0.1  # the same pictures; versions round colours differently


def plain_times(path):
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(container.streams.best("video"))]


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", ".mp4", {"g": "250"}),  # one key frame
        ("libx264", ".mp4", {"g": "10", "bf": "3"}),
        ("libx264", ".mkv", {"g": "10", "bf": "3", "x264-params": "open-gop=1"}),
        ("libx264", ".ts", {"g": "12"}),
        ("mpeg4", ".avi", {"g": "12"}),
        ("mpeg4", ".avi", {"g": "12", "bf": "2"}),  # AVI keeps no times of display
        ("mpeg2video", ".mpg", {"g": "12", "bf": "2", "b": "2000000"}),
        ("mjpeg", ".mov", {}),
    ],
)
@pytest.mark.parametrize("count", [1, 5, 97])
def test_frames_have_the_numbers_that_were_chosen(tmp_path, codec, suffix, options, count):
    path = write_video(tmp_path / f"made{suffix}", count, codec=codec, options=options)
    images = read_frames(path, 12)
    assert [number_of(image) for image in images] == frame_indices(count, 12) and same(images, plain_frames(path, 12))


def test_a_key_frame_in_reach_is_used_and_changes_nothing(tmp_path, monkeypatch):
    path = write_video(tmp_path / "made.mp4", 97, options={"g": "10", "bf": "3"})
    with_seeking = read_frames(path, 12)
    monkeypatch.setattr(video_decoding, "_decode_chosen", lambda *_: None)
    assert same(with_seeking, read_frames(path, 12))


def test_frames_are_counted_not_timed(tmp_path):
    times = [number if number < 20 else 20 + 9 * (number - 20) for number in range(40)]
    path = write_video(tmp_path / "made.mkv", 40, times=times)
    assert [number_of(image) for image in read_frames(path, 12)] == frame_indices(40, 12)


@pytest.mark.parametrize(
    "name", ["a b'c\"d%03d.mp4", "ünï-日本.mp4", "-starts_with_a_dash.mp4", "colon:and,comma.mp4", "n" * 240 + ".mp4"]
)
def test_a_files_name_is_a_name(tmp_path, name):
    path = write_video(tmp_path / "made.mp4", 3).rename(tmp_path / name)
    assert [number_of(image) for image in read_frames(path, 3)] == [0, 1, 2]


def test_odd_sizes_are_read(tmp_path):
    (image,) = read_frames(write_video(tmp_path / "odd.mkv", 4, codec="ffv1", size=(163, 61)), 1)
    assert image.size == (163, 61) and number_of(image) == 1


def test_a_picture_is_turned_upright(tmp_path):
    lying = read_frames(write_video(tmp_path / "made.mp4", 4), 4)
    turned = read_frames(rotate(tmp_path / "made.mp4"), 4)
    assert turned[0].size == lying[0].size[::-1]
    assert (
        turned[0].getpixel((60, 4))[0] > 200 > 50 > turned[0].getpixel((60, 4))[1]
    )  # the red corner, upper left, is upper right now


def test_truncated_clips_are_reported(clip, tmp_path):
    content = clip.read_bytes()
    cut = tmp_path / f"cut{clip.suffix}"
    for share in (0.5, 0.9):
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UnreadableImage, match=f"{cut.name} cannot be decoded as a video"):
            read_frames(cut, 12)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_truncated_file_with_its_header_whole_is_reported(tmp_path, suffix):
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = write_video(tmp_path / f"made{suffix}", 200, options={"g": "20"}, codec="mpeg4", container_options=options)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    with pytest.raises(UnreadableImage, match="is cut short: it holds"):
        read_frames(path, 12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "cannot be decoded"),
        (lambda path: path.write_text("not a video\n" * 100), "cannot be decoded"),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "cannot be decoded"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile http://127.0.0.1:9/a.ts\n"), "cannot be decoded"),
        (lambda path: write_audio(path), "no video stream"),
        (lambda path: write_video(path, 0, codec="mpeg4"), "cannot be decoded"),
        (lambda path: path.mkdir(), "cannot be decoded"),
        (lambda path: None, "No such file"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, make, message):
    path = tmp_path / "thing.mp4"
    make(path)
    with pytest.raises(UnreadableImage, match=message) as caught:
        read_frames(path, 12)
    assert "thing.mp4" in str(caught.value)


def test_without_the_decoder_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(CcsError, match=r"pip install 'ccs_exp\[video\]'"):
        read_frames(tmp_path / "any.mp4", 12)


def test_a_video_of_too_many_frames_or_pixels_is_refused(tmp_path, monkeypatch):
    path = write_video(tmp_path / "v.mp4", 30)
    assert len(read_frames(path, 3)) == 3
    monkeypatch.setattr("ccs_exp.data.videos.decoding.MOST_FRAMES", 29)
    with pytest.raises(UnreadableImage, match=r"v\.mp4 cannot be decoded as a video \(it has more than 29 frames\)"):
        read_frames(path, 3)
    monkeypatch.setattr("ccs_exp.data.videos.decoding.MOST_PIXELS", 100)
    with pytest.raises(UnreadableImage, match=r"frames of 160 x 64 pixels; at most 100 are decoded"):
        read_frames(path, 3)
