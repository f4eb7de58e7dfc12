import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from app.actions import export
from app.services import Services
from app.settings import Limits
from comask.annotation import coco
from tests.app.standins import BlobDetector, blobs, encode, fixtures, serve, studio

Client = tuple[TestClient, Services]


def over_samples(folder: Path) -> Iterator[Client]:
    services = studio(folder)
    with serve(services) as opened:
        yield opened, services
    services.close()


client, same_client = fixtures(over_samples)


def key_of_first(services: Services) -> str:
    return services.images.listed("samples")[0].key


@pytest.mark.parametrize("room", ["documents", "images", "thumbnails", "exports"])
@pytest.mark.parametrize(
    "key", ["x", "0" * 32, "..%2f..%2fetc%2fpasswd", "%00", "A" * 32, "0" * 5000, "é"]
)
def test_an_unknown_key_is_one_sentence(same_client: Client, room: str, key: str) -> None:
    answer = same_client[0].get(f"/api/{room}/{key}" + (".json" if room == "exports" else ""))
    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)


def test_a_document_holds_what_the_model_found(client: Client) -> None:
    opened, services = client
    key = key_of_first(services)
    document = opened.get(f"/api/documents/{key}").json()
    file = services.checkpoints.find(None)
    assert file is not None
    prediction = services.prediction(file, key)
    assert prediction is not None
    assert len(document["instances"]) == len(prediction) > 2
    assert document["instances"][0]["rle"] == prediction.masks[0].to_coco()


def test_a_glance_does_not_wait(tmp_path: Path) -> None:
    detector = BlobDetector()
    detector.gate.clear()
    services = studio(tmp_path, detector)
    with serve(services) as opened:
        document = opened.get(f"/api/documents/{key_of_first(services)}?wait=0").json()
        assert (document["instances"], detector.seen) == ([], 0)
        detector.gate.set()
        later = opened.get(document["pending"]["url"]).json()
    assert len(later["instances"]) > 2
    assert "pending" not in later


def test_a_document_is_compressed_for_who_takes_it(client: Client) -> None:
    opened, services = client
    address = f"/api/documents/{key_of_first(services)}"
    plain = opened.get(address, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with opened.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = b"".join(answer.iter_raw())
    assert len(raw) < len(plain.content)
    assert gzip.decompress(raw) == plain.content


def test_a_failing_model_is_said_in_the_document(client: Client) -> None:
    opened, services = client
    bad = services.images.add(encode(np.full((9, 9, 3), 13, np.uint8)), "bad.png").image
    document = opened.get(f"/api/documents/{bad.key}").json()
    assert "out of memory" in document["note"]
    assert document["instances"] == []


@pytest.mark.parametrize("wait", ["nan", "-1", "1e9", "x", ""])
def test_nonsense_to_wait_for_is_refused(same_client: Client, wait: str) -> None:
    answer = same_client[0].get(f"/api/documents/{key_of_first(same_client[1])}?wait={wait}")
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)


def test_an_unknown_checkpoint_is_one_sentence(client: Client) -> None:
    opened, services = client
    for room, end in (("documents", ""), ("exports", ".json")):
        answer = opened.get(f"/api/{room}/{key_of_first(services)}{end}?checkpoint=../first")
        assert answer.status_code == 404
        assert "no checkpoint of this name" in answer.json()["detail"]


# -- pictures -----------------------------------------------------------------------------------


def test_the_picture_has_the_pixels_that_the_model_saw(client: Client) -> None:
    opened, services = client
    image = services.images.listed("samples")[0]
    answer = opened.get(f"/api/images/{image.key}")
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded, services.images.pixels(image))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]


def test_a_sample_that_vanished_is_one_sentence(client: Client) -> None:
    opened, services = client
    image = services.images.listed("samples")[0]
    image.path.unlink()
    answer = opened.get(f"/api/images/{image.key}")
    assert answer.status_code == 404


def deep(services: Services) -> tuple[str, NDArray[np.uint16]]:
    """Upload a 16-bit ramp of 3,000 .. 22,990 in steps of 10; says its key and its values."""
    grey = (np.arange(2000, dtype=np.uint16) * 10 + 3000).reshape(40, 50)
    done, content = cv2.imencode(".png", grey)
    assert done
    return services.images.add(content.tobytes(), "deep.png").image.key, grey


def test_a_deep_picture_is_shown_in_the_window_that_is_asked_for(client: Client) -> None:
    opened, services = client
    key, grey = deep(services)
    answer = opened.get(f"/api/images/{key}?low=3000&high=5550.0")
    assert answer.headers["content-type"] == "image/png"
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    # 2,550 values over 255 levels: steps of ten
    np.testing.assert_array_equal(decoded, (grey.clip(3000, 5550) - 3000) // 10)
    # what the model sees stays as it is
    plain = opened.get(f"/api/images/{key}").content
    decoded = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR_RGB)
    image = services.images.find(key)
    assert image is not None
    np.testing.assert_array_equal(decoded, services.images.pixels(image))


def test_the_range_of_a_deep_picture_is_in_its_document_too(client: Client) -> None:
    opened, services = client
    key, _ = deep(services)
    found = opened.get(f"/api/images/{key}/range").json()
    assert (found["bits"], found["low"], found["high"]) == (16, 3000, 22990)
    assert found["shown"] == pytest.approx([3019.99, 22970.01])  # 0.1 % of 2,000 is 1.999 steps
    for room in ("documents", "labels"):
        assert opened.get(f"/api/{room}/{key}").json()["image"]["grey"] == found


def test_eight_bits_have_no_window(client: Client) -> None:
    opened, services = client
    key = key_of_first(services)
    found = opened.get(f"/api/images/{key}/range").json()
    assert found == {"bits": 8, "low": 0, "high": 255, "shown": [0, 255]}
    for room in ("documents", "labels"):
        assert "grey" not in opened.get(f"/api/{room}/{key}").json()["image"]
    answer = opened.get(f"/api/images/{key}?low=1&high=2")
    assert answer.status_code == 422
    assert answer.json() == {"detail": "sample-0.png has 8 bits a channel: all of it is shown."}


@pytest.mark.parametrize(
    "window",
    ["low=1", "high=1", "low=2&high=2", "low=3&high=2", "low=nan&high=1", "low=0&high=inf"],
)
def test_a_window_that_is_none_is_one_sentence(client: Client, window: str) -> None:
    opened, services = client
    key, _ = deep(services)
    answer = opened.get(f"/api/images/{key}?{window}")
    assert (answer.status_code, type(answer.json()["detail"])) == (422, str)


@pytest.mark.parametrize("key", ["x", "0" * 32, "%00"])
def test_the_range_of_an_unknown_picture_is_one_sentence(same_client: Client, key: str) -> None:
    answer = same_client[0].get(f"/api/images/{key}/range")
    assert (answer.status_code, type(answer.json()["detail"])) == (404, str)


# -- exports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["0.05", "0.5", "0.73", "1", "0", ".5", "5e-1"])
def test_a_downloaded_file_is_cut_at_the_score(client: Client, score: str) -> None:
    opened, services = client
    key = key_of_first(services)
    opened.get(f"/api/documents/{key}")
    answer = opened.get(f"/api/exports/{key}.json?min_score={score}")
    file, image = services.checkpoints.find(None), services.images.find(key)
    assert file is not None
    assert image is not None
    exported = export.one(services, file, image, float(score))
    assert exported is not None
    assert answer.content == exported.content
    assert 'filename="sample-0.json"' in answer.headers["content-disposition"]
    assert coco.parse(answer.content).images[0].file_name == "sample-0.png"


@pytest.mark.parametrize(
    "score",
    [
        "nan",
        "inf",
        "-0.1",
        "1.01",
        "x",
        "",
        "1e400",
        "0x1",
        "true",
        "\u0660.\u0665",
        "0.5.5",
        "9" * 5000,
    ],
)
def test_a_score_that_is_none_is_one_sentence(same_client: Client, score: str) -> None:
    opened, services = same_client
    for name in (f"{key_of_first(services)}.json", "all.json"):
        answer = opened.get(f"/api/exports/{name}", params={"min_score": score})
        assert answer.status_code == 422
        assert answer.json() == {"detail": "min_score must be a number from 0 to 1."}


def test_one_image_is_exported_as_soon_as_the_model_has_seen_it(client: Client) -> None:
    opened, services = client
    answer = opened.get(f"/api/exports/{key_of_first(services)}.json?min_score=0.1")
    assert answer.status_code == 200
    assert len(answer.json()["annotations"]) > 2


def test_what_the_model_fails_on_is_not_exported(client: Client) -> None:
    opened, services = client
    bad = services.images.add(encode(np.full((9, 9, 3), 13, np.uint8)), "bad.png").image
    answer = opened.get(f"/api/exports/{bad.key}.json")
    assert answer.status_code == 409
    assert "out of memory" in answer.json()["detail"]


def test_a_list_is_not_exported_in_part(client: Client) -> None:
    answer = client[0].get("/api/exports/all.json")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("3 of 3 images have no result yet")


def test_one_list_is_exported_at_a_time(client: Client) -> None:
    opened, services = client
    mine = services.images.add(blobs(seed=8), 'ünïcode; "x".png').image
    opened.get(f"/api/documents/{mine.key}")
    answer = opened.get("/api/exports/all.json?source=uploads")
    assert [i["file_name"] for i in answer.json()["images"]] == ['ünïcode; "x".png']
    one = opened.get(f"/api/exports/{mine.key}.json")
    assert (
        "filename*=UTF-8''%C3%BCn%C3%AFcode%3B%20%22x%22.json" in one.headers["content-disposition"]
    )
    assert opened.get("/api/exports/all.json?source=others").status_code == 422


def test_without_a_checkpoint_there_is_nothing_to_export(tmp_path: Path) -> None:
    services = studio(tmp_path, checkpoint=False)
    with serve(services) as opened:
        answer = opened.get("/api/exports/all.json")
        document = opened.get(f"/api/documents/{key_of_first(services)}").json()
    assert (answer.status_code, answer.json()["detail"][:30]) == (
        409,
        "There is no checkpoint yet, so",
    )
    assert "There is no checkpoint yet" in document["note"]


# -- uploads ------------------------------------------------------------------------------------


def test_images_are_taken_and_others_named(client: Client) -> None:
    opened, services = client
    files = [
        ("files", ("a/b.png", blobs(seed=5))),
        ("files", ("c.png", b"")),
        ("anything", ("d.html", b"<script>alert(1)</script>")),
        ("files", ("e.png", blobs(seed=5))),
    ]
    said = opened.post("/api/uploads", files=files).json()
    (image,) = services.images.listed("uploads")
    assert said["accepted"] == [
        {"key": image.key, "file_name": "a/b.png", "is_new": True},
        {"key": image.key, "file_name": "a/b.png", "is_new": False},
    ]
    assert [refused["file_name"] for refused in said["refused"]] == ["c.png", "d.html"]
    assert all(refused["sentence"].endswith(".") for refused in said["refused"])


def test_too_many_files_at_once_are_refused(tmp_path: Path) -> None:
    services = studio(tmp_path, limits=Limits(images_per_request=2))
    files = [("files", (f"{seed}.png", blobs(seed=seed))) for seed in range(5, 8)]
    with serve(services) as opened:
        answer = opened.post("/api/uploads", files=files)
    assert answer.status_code == 422
    assert "at most 2 go at a time" in answer.json()["detail"]
    assert services.images.listed("uploads") == ()


def test_too_large_requests_and_files_are_refused(tmp_path: Path) -> None:
    limits = Limits(image_bytes=10_000, request_bytes=50_000)
    services = studio(tmp_path, limits=limits)
    with serve(services) as opened:
        whole = opened.post("/api/uploads", files={"f": ("a.png", bytes(60_000))})
        one = opened.post("/api/uploads", files={"f": ("a.png", bytes(20_000))})
    assert whole.status_code == 413
    assert one.json()["refused"][0]["sentence"].startswith("a.png is larger than")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"hello", {"content-type": "text/plain"}),
        (b"hello", {"content-type": "multipart/form-data"}),
        (b"hello", {"content-type": "multipart/form-data; boundary=x"}),
        (
            b"--x\r\nContent-Disposition: form-data\r\n",
            {"content-type": "multipart/form-data; boundary=x"},
        ),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}),
    ],
)
def test_requests_without_files_are_one_sentence(
    same_client: Client, content: bytes, headers: dict[str, str]
) -> None:
    answer = same_client[0].post("/api/uploads", content=content, headers=headers)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_request_of_unknown_length_is_refused(client: Client) -> None:
    answer = client[0].post("/api/uploads", content=iter([b"a", b"b"]))
    assert answer.status_code == 411


def test_other_sites_cannot_upload(client: Client) -> None:
    opened, services = client
    for origin, status in (
        ("https://evil.example", 403),
        ("null", 403),
        ("http://testserver", 200),
    ):
        answer = opened.post(
            "/api/uploads", files={"f": ("a.png", blobs(seed=5))}, headers={"origin": origin}
        )
        assert answer.status_code == status
    assert len(services.images.listed("uploads")) == 1


def test_there_is_nothing_else_below_api(client: Client) -> None:
    answer = client[0].get("/api/secret")
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "There is nothing at /api/secret."},
    )


def test_answers_are_json_that_strict_readers_take(client: Client) -> None:
    opened, services = client
    text = opened.get(f"/api/documents/{key_of_first(services)}").text

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(text, parse_constant=refuse)
