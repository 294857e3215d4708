"""Local copies of the video data sets: their layouts, their captions under both protocols, and what is wrong with wrong ones."""

import csv
import json
import shutil
import unicodedata

import numpy as np
import pytest
from made_videos import number_of, numbered, write_video
from PIL import Image

from ccs_exp.config.schema import configure
from ccs_exp.data.videos.captioned import FrameImages, VideoFile
from ccs_exp.data.videos.sets import captioned_folder, didemo, msrvtt, msvd
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def frames(folder, count, pattern="{}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(numbered(number)).save(folder / pattern.format(number))


@pytest.fixture
def msrvtt_copy(tmp_path):
    """Three videos: a file, a folder of frames, and frames beside each other; and a video of another split."""
    write_csv(
        tmp_path / "MSRVTT_JSFUSION_test.csv",
        ["key", "vid_key", "video_id", "sentence"],
        [
            ["ret0", "msr9", "video9", 'he says "hello", then\nleaves'],
            ["ret1", "msr7", "video7", "naïve café 日本"],
            ["ret2", "msr8", "video8", "a  dog "],
        ],
    )
    (tmp_path / "TestVideo").mkdir()
    write_video(tmp_path / "TestVideo" / "video9.mp4", 13)
    write_video(tmp_path / "TestVideo" / "video1.mp4", 2)
    frames(tmp_path / "frames" / "video7", 13)
    frames(tmp_path / "flat", 13, "video8_{}.jpeg")
    return tmp_path


def load_msrvtt(path, protocol="standard", num_videos=3, **options):
    return msrvtt(str(path), protocol, num_videos, "its files", **options)


def test_msrvtt_is_read_from_files_folders_and_flat_frames(msrvtt_copy):
    videos = load_msrvtt(msrvtt_copy)
    assert [video.video_id for video in videos.videos] == ["video9", "video7", "video8"]
    assert [type(video) for video in videos.videos] == [VideoFile, FrameImages, FrameImages]
    assert videos.captions == ('he says "hello", then leaves', "naïve café 日本", "a dog") and videos.of_video == (0, 1, 2)
    assert videos.notes == ()
    for video in videos.videos:  # frame 10 comes after frame 9
        assert [number_of(image) for image in video.frames(13)] == list(range(13))
        assert [number_of(image) for image in video.frames(4)] == [1, 4, 7, 10]


def test_a_missing_video_is_counted_and_named_or_left_out_on_purpose(msrvtt_copy):
    (msrvtt_copy / "TestVideo" / "video9.mp4").unlink()
    with pytest.raises(CcsError, match=r"1 of 3 captioned videos missing below .*: video9\. .*dataset\.partial=true"):
        load_msrvtt(msrvtt_copy)
    part = load_msrvtt(msrvtt_copy, partial=True)
    assert [video.video_id for video in part.videos] == ["video7", "video8"] and part.of_video == (0, 1)
    assert part.notes == ("MSR-VTT 1k-A is incomplete here: 2 of 3 videos.",)
    shutil.rmtree(msrvtt_copy / "frames")
    with pytest.raises(CcsError, match="holds 1 of 3 captioned videos, and retrieval needs at least two"):
        load_msrvtt(msrvtt_copy, partial=True)


def test_linked_folders_are_followed_once(msrvtt_copy, tmp_path_factory):
    here = tmp_path_factory.mktemp("links")
    shutil.copy(msrvtt_copy / "MSRVTT_JSFUSION_test.csv", here)
    (here / "videos").symlink_to(msrvtt_copy / "TestVideo")
    (here / "frames").symlink_to(msrvtt_copy / "frames")
    (here / "flat").symlink_to(msrvtt_copy / "flat")
    (here / "round").symlink_to(here)
    assert [len(video.frames(4)) for video in load_msrvtt(here).videos] == [4, 4, 4]


def test_what_else_is_wrong_with_a_copy(msrvtt_copy):
    with pytest.raises(CcsError, match="1,000 videos are expected, but the captions are of 3"):
        load_msrvtt(msrvtt_copy, num_videos=1000)
    shutil.copy(msrvtt_copy / "TestVideo" / "video9.mp4", msrvtt_copy / "video9.avi")
    with pytest.raises(CcsError, match=r"video9 is there twice: .*TestVideo.video9\.mp4 and .*video9\.avi"):
        load_msrvtt(msrvtt_copy)
    (msrvtt_copy / "video9.avi").unlink()
    captions = msrvtt_copy / "MSRVTT_JSFUSION_test.csv"
    captions.write_text("video_id,text\nvideo9,a dog\n")
    with pytest.raises(CcsError, match="lacks the column sentence"):
        load_msrvtt(msrvtt_copy)
    captions.write_bytes(b"video_id,sentence\nvideo9,\xff\xfe\n")
    with pytest.raises(CcsError, match="is UTF-16 text|is not UTF-8 text"):
        load_msrvtt(msrvtt_copy)
    write_csv(captions, ["video_id", "sentence"], [["video9", " "], ["video7", "a cat"], ["video8", "a dog"]])
    with pytest.raises(CcsError, match="1 video without a caption, or with an empty one: video9"):
        load_msrvtt(msrvtt_copy)
    captions.unlink()
    with pytest.raises(CcsError, match=r"holds no MSRVTT_JSFUSION_test\.csv, at any depth\. Expected is: its files"):
        load_msrvtt(msrvtt_copy)
    with pytest.raises(CcsError, match="is not a folder"):
        load_msrvtt(msrvtt_copy / "nowhere")


MSVD = ("-4wsuPCjDBc_5_15", "_O9kWD8nuRU_1_9", "fr9H1WLcF1A_256_261")


@pytest.fixture
def msvd_copy(tmp_path):
    (tmp_path / "test_list.txt").write_text("\n".join(MSVD) + "\n")
    lines = [f"{video} {text}" for text in ("a squirrel eats", "it is eating") for video in (*MSVD, "other_1_2")]
    (tmp_path / "AllVideoDescriptions.txt").write_text("# a header\n\n" + "\n".join(lines) + "\n")
    (tmp_path / "YouTubeClips").mkdir()
    for video in (*MSVD, "other_1_2"):
        write_video(tmp_path / "YouTubeClips" / f"{video}.avi", 3, codec="mpeg4")
    return tmp_path


def test_msvd_has_all_captions_or_the_papers_first(msvd_copy):
    videos = msvd(str(msvd_copy), "standard", 3, "")
    assert tuple(video.video_id for video in videos.videos) == MSVD
    assert videos.captions == ("a squirrel eats", "it is eating") * 3 and videos.of_video == (0, 0, 1, 1, 2, 2)
    paper = msvd(str(msvd_copy), "paper", 3, "")
    assert paper.captions == ("a squirrel eats",) * 3 and paper.of_video == (0, 1, 2)


def test_msvds_corpus_is_read_too_and_only_in_english(msvd_copy):
    (msvd_copy / "AllVideoDescriptions.txt").unlink()
    rows = [
        [video.rsplit("_", 2)[0], *video.rsplit("_", 2)[1:], language, f"{video} in {language}"]
        for video in MSVD
        for language in ("Hindi", "English")
    ]
    header = ["VideoID", "Start", "End", "Language", "Description"]
    write_csv(msvd_copy / "MSR Video Description Corpus.csv", header, rows)
    assert msvd(str(msvd_copy), "standard", 3, "").captions == tuple(f"{video} in English" for video in MSVD)


def test_msvd_without_captions_or_with_pickled_ones(msvd_copy):
    descriptions = msvd_copy / "AllVideoDescriptions.txt"
    descriptions.write_text("\n".join(line for line in descriptions.read_text().splitlines() if not line.startswith(MSVD[1])))
    with pytest.raises(CcsError, match=f"1 video without a caption.*{MSVD[1]}"):
        msvd(str(msvd_copy), "standard", 3, "")
    descriptions.rename(msvd_copy / "raw-captions.pkl")
    with pytest.raises(CcsError, match="Reading a pickle can run any code"):
        msvd(str(msvd_copy), "standard", 3, "")


DIDEMO = {"12@N00_1_a.mov": ["a cat jumps.", "it sleeps"], "34@N01_2_b.": ["a dog"], "56@N02_3_c.avi": ["waves"]}


@pytest.fixture
def didemo_copy(tmp_path):
    entries = [{"video": video, "description": text} for video, texts in DIDEMO.items() for text in texts]
    entries.append({"video": "78@N03_4_lost.mp4", "description": "gone"})
    (tmp_path / "test_data.json").write_text(json.dumps(entries))
    (tmp_path / "CE_test_list.txt").write_text("\n".join(DIDEMO))
    for name in ("12@N00_1_a.mp4", "34@N01_2_b.mp4", "56@N02_3_c.avi.mp4"):
        write_video(tmp_path / name, 3)
    return tmp_path


def test_didemo_is_a_paragraph_or_the_papers_first_description(didemo_copy):
    standard = didemo(str(didemo_copy), "standard", 3, "")
    assert standard.captions == ("a cat jumps. it sleeps", "a dog", "waves") and len(standard.videos) == 3
    assert didemo(str(didemo_copy), "paper", 3, "").captions == ("a cat jumps.", "a dog", "waves")
    (didemo_copy / "CE_test_list.txt").unlink()
    with pytest.raises(CcsError, match="3 videos are expected, but the captions are of 4"):
        didemo(str(didemo_copy), "standard", 3, "")
    (didemo_copy / "test_data.json").write_text('{"a": 1}')
    with pytest.raises(CcsError, match="test_data.json must hold a list of objects with video .a text."):
        didemo(str(didemo_copy), "standard", 3, "")


def test_real_lists_have_the_numbers_that_the_configuration_expects(shared):
    where = str(shared / "data" / "video")
    videos = build(configure("dataset=msrvtt", f"dataset.path={where}", "dataset.partial=true").dataset.source)
    assert {video.video_id for video in videos.videos} == {"video7020", "video7021", "video7024", "video7025"}
    assert videos.captions[0] == "a woman creating a fondant baby and flower" and "4 of 1,000 videos" in videos.notes[0]
    assert videos.videos[0].frames(12)[0].mode == "RGB"
    for name, count in (("didemo", "1,004"), ("msrvtt", "1,000")):
        with pytest.raises(CcsError, match=f"of {count} captioned videos missing below"):
            build(configure(f"dataset={name}", f"dataset.path={where}").dataset.source)


def test_videos_of_your_own(tmp_path):
    write_csv(tmp_path / "captions.csv", ["video", "caption"], [])
    with pytest.raises(CcsError, match=r"captions\.csv: .* has no captioned video, .* at least two\. Give each video a caption"):
        captioned_folder(str(tmp_path), "standard")
    write_video(tmp_path / "one, two.mp4", 3)
    frames(tmp_path / "deep" / "two", 2)
    rows = [["one, two.mp4", "a"], ["deep/two", "b"], ["one, two.mp4", "c"]]
    write_csv(tmp_path / "captions.csv", ["video", "caption"], rows)
    videos = captioned_folder(str(tmp_path), "standard")
    assert videos.caption_ids == ["one, two.mp4#0", "one, two.mp4#1", "deep/two#0"] and videos.captions == ("a", "c", "b")
    assert captioned_folder(str(tmp_path), "paper").captions == ("a", "b")
    assert [number_of(image) for image in videos.videos[1].frames(3)] == [0, 1, 1]
    write_video(tmp_path / "three.mp4", 3)
    with pytest.raises(CcsError, match=r"has no caption for 1 video: three\.mp4"):
        captioned_folder(str(tmp_path), "standard")
    assert len(captioned_folder(str(tmp_path), "standard", partial=True).videos) == 2
    write_csv(tmp_path / "captions.csv", ["video", "caption"], [*rows, ["three.mp4", "d"], ["four.mp4", "e"]])
    with pytest.raises(CcsError, match=r"1 of 4 captioned videos missing below .*: four\.mp4"):
        captioned_folder(str(tmp_path), "standard")
    for outside in ("../else.mp4", "", "."):
        write_csv(tmp_path / "captions.csv", ["video", "caption"], [[outside, "d"]])
        with pytest.raises(CcsError, match="does not lie below"):
            captioned_folder(str(tmp_path), "standard")
    (tmp_path / "captions.csv").unlink()
    with pytest.raises(CcsError, match=r"has no captions\.csv"):
        captioned_folder(str(tmp_path), "standard")


def test_a_video_whose_name_is_written_otherwise_is_told(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for name in (nfd, "dog"):
        write_video(tmp_path / f"{name}.mp4", 3)
    write_csv(tmp_path / "captions.csv", ["video", "caption"], [[f"{nfc}.mp4", "a"], ["dog.mp4", "b"]])
    with pytest.raises(CcsError, match=r"Probably the same, written otherwise: 'caf\\xe9\.mp4' and 'cafe\\u0301\.mp4'"):
        captioned_folder(str(tmp_path), "standard")
    write_csv(tmp_path / "MSRVTT_JSFUSION_test.csv", ["video_id", "sentence"], [[nfc, "a"], ["dog", "b"]])
    with pytest.raises(CcsError, match=r"Probably the same, written otherwise: 'caf\\xe9' and 'cafe\\u0301'"):
        load_msrvtt(tmp_path, num_videos=2)


def test_captions_of_several_videos_and_what_was_left_out_are_told(tmp_path):
    for name in ("a", "b"):
        frames(tmp_path / name, 2)
    (tmp_path / "a" / "._0.png").write_bytes(b"a sidecar")
    (tmp_path / "notes.txt").write_text("mine")
    write_csv(tmp_path / "captions.csv", ["video", "caption"], [["a", "a dog"], ["b", "a  dog"]])
    videos = captioned_folder(str(tmp_path), "standard")
    assert "1 caption of captions.csv stand for several videos" in videos.notes[0]
    assert "what is no video or frame with a caption (1: notes.txt)" in videos.notes[1]
    assert [len(video.paths) for video in videos.videos] == [2, 2] and "upright and on white" in videos.decoder
    assert "as stored" in captioned_folder(str(tmp_path), "standard", decoding="standard").decoder


@pytest.mark.parametrize("name", ["msrvtt", "msvd", "didemo", "videos"])
def test_what_a_copy_must_hold_is_said_before_anything_loads(name):
    with pytest.raises(CcsError, match=r"Still needed: dataset\.path=\.\.\..*dataset\.path is a folder with: \S+"):
        configure(f"dataset={name}")


def test_drawn_videos_are_the_same_for_the_same_seed_and_move():
    source = configure("dataset=scenes_video").dataset.source
    one, other = build(source, num_videos=20), build(source, num_videos=20)
    assert one.captions == other.captions and len(set(one.captions)) == 20
    pictures = [np.stack([np.asarray(frame) for frame in videos.videos[3].frames(6)]) for videos in (one, other)]
    assert np.array_equal(*pictures) and not np.array_equal(pictures[0][0], pictures[0][5])
