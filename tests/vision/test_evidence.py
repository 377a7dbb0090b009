"""Evidence is made beside the work, stored once a frame, and fails closed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.frame import Fix, Frame, frame_id
from ingest.jpeg import read_header
from vision.evidence import EvidenceMaker
from vision.pictures import FolderEvidence
from vision.privacy import FaceBlur, PrivacyUnavailable

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
PICTURES = sorted(SAMPLE.glob("*.jpg"))[:4]
BOX = (10.0, 20.0, 110.0, 220.0)


def frame(path: Path, second: int = 0) -> Frame:
    time = datetime(2026, 11, 20, 8, 0, second, tzinfo=UTC)
    jpeg = path.read_bytes()
    fix = Fix(time=time, lat=22.5, lon=114.0)
    id = frame_id(path.stem, "right", time)
    return Frame(
        id=id, vehicle=path.stem, camera="right", time=time, fix=fix, jpeg=jpeg, size_wh=read_header(jpeg), file=""
    )


def test_pictures_are_made_before_they_are_asked_for_and_stored_when_they_are(tmp_path: Path) -> None:
    store = FolderEvidence(tmp_path)
    maker = EvidenceMaker(store, FaceBlur)
    late = [maker(frame(path), BOX) for path in PICTURES]
    assert not list(tmp_path.glob("*.jpg"))
    assert [one.missing for one in late] == [None] * 4
    assert sorted(file.name for file in tmp_path.glob("*.jpg")) == sorted(one.uri or "" for one in late)
    assert maker.stored == 4


def test_two_things_that_one_frame_shows_share_its_picture_and_have_boxes_of_their_own(tmp_path: Path) -> None:
    maker = EvidenceMaker(FolderEvidence(tmp_path), FaceBlur)
    seen = frame(PICTURES[0])
    one, other = maker(seen, BOX), maker(seen, (0.0, 0.0, 640.0, 480.0))
    assert one.uri == other.uri
    assert (one.box_xyxy, other.box_xyxy) == ((10, 20, 110, 220), (0, 0, 640, 480))
    assert maker.stored == 1


def test_the_same_frame_gives_the_same_bytes_whichever_thread_made_them(tmp_path: Path) -> None:
    seen = frame(PICTURES[1])
    names = {EvidenceMaker(FolderEvidence(tmp_path), FaceBlur)(seen, BOX).uri for _ in range(3)}
    assert len(names) == 1


def test_without_a_face_detector_no_picture_is_stored_and_the_evidence_says_why(tmp_path: Path) -> None:
    def none() -> FaceBlur:
        raise PrivacyUnavailable("no model file")

    maker = EvidenceMaker(FolderEvidence(tmp_path), none)
    late = [maker(frame(path), BOX) for path in PICTURES]
    assert {(one.uri, one.missing) for one in late} == {(None, "privacy-unavailable: no model file")}
    assert not list(tmp_path.iterdir())
    assert maker.failures == {"privacy-unavailable: no model file": 4}


def test_storing_is_done_by_the_thread_that_asks(tmp_path: Path) -> None:
    threads = []

    class Watched(FolderEvidence):
        def put(self, jpeg: bytes) -> str:
            threads.append(threading.current_thread())
            return super().put(jpeg)

    maker = EvidenceMaker(Watched(tmp_path), FaceBlur)
    assert maker(frame(PICTURES[0]), BOX).uri is not None
    assert threads == [threading.current_thread()]


def test_a_store_that_refuses_is_told_once_and_asked_again_for_the_next_thing(tmp_path: Path) -> None:
    class Full(FolderEvidence):
        full = True

        def put(self, jpeg: bytes) -> str:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().put(jpeg)

    store = Full(tmp_path)
    maker = EvidenceMaker(store, FaceBlur)
    seen = frame(PICTURES[0])
    first = maker(seen, BOX)
    assert first.missing == "not-stored: No space left on device"
    store.full = False
    assert first.uri is None  # what was told is told
    assert maker(seen, BOX).uri is not None


def test_many_more_frames_than_are_known_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.evidence.KNOWN", 3)  # blurring as many as are known otherwise takes half a minute
    maker = EvidenceMaker(FolderEvidence(tmp_path), FaceBlur)
    late = [maker(frame(PICTURES[0], second), BOX) for second in range(6)]
    late += [maker(frame(PICTURES[2], second), BOX) for second in range(3)]
    assert all(one.missing is None for one in late)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"no picture"])
def test_a_picture_that_no_longer_decodes_is_told_as_missing(tmp_path: Path, data: bytes) -> None:
    seen = frame(PICTURES[0])
    broken = Frame(
        id=seen.id, vehicle="b", camera="right", time=seen.time, fix=seen.fix, jpeg=data, size_wh=(640, 480), file=""
    )
    assert EvidenceMaker(FolderEvidence(tmp_path), FaceBlur)(broken, BOX).missing == (
        "not-stored: the picture no longer decodes"
    )
