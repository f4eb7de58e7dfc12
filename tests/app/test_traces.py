"""How instances were made, as the page asks for it: numbers of one and of all, and films."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageSequence

from app.actions import traces
from app.main import build
from app.services import Services
from comask.analysis.trace import Pasting
from comask.predict import Prediction
from tests import makings as planted
from tests.app.standins import studio
from tests.factories import write_checkpoint

SAMPLE = (60, 80)  # of the stand-in's images


@dataclass(frozen=True)
class Site:
    """A Studio with one image, and what was planted for it."""

    client: TestClient
    services: Services
    key: str

    def plant(self, prediction: Prediction) -> None:
        file = self.services.checkpoints.find(None)
        assert file is not None
        self.services.predictions.put(
            self.services.checkpoints.identity(file), self.key, prediction
        )

    def get(self, address: str) -> httpx.Response:
        return self.client.get(address.format(key=self.key))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    services = studio(tmp_path_factory.mktemp("studio"), samples=2)
    with TestClient(build(services)) as client:
        yield Site(client, services, services.images.listed("samples")[0].key)


def test_a_trace_tells_the_way_from_proposal_to_mask(site: Site) -> None:
    prediction = planted.made(3, SAMPLE)
    site.plant(prediction)
    told = site.get("/api/traces/{key}/p2").json()
    assert told["id"] == "p2"
    assert (told["proposal"], told["box"]) == (list(planted.PROPOSAL), list(planted.BOX))
    assert np.array(told["votes"]).shape == (49, 4)
    assert told["votes"][8] == list(planted.VOTE)
    assert (told["weights"][8], told["weights"][24], told["weight"]) == (1.0, 0.5, 1.5)
    assert told["mask"]["counts"] == prediction.masks[1].counts
    assert told["first_mask"]["size"] == list(SAMPLE)
    assert (told["travel"], told["edge"], told["levels"]) == (3.0, "left", [2, 3])
    assert told["agreement"] == pytest.approx(90 / 149)
    assert [stage["name"] for stage in told["stages"]][-1] == "iou"
    for wrong in ("p0", "p4", "t1", "p1x", "p" + "9" * 12):
        assert site.get(f"/api/traces/{{key}}/{wrong}").status_code == 404


@pytest.mark.parametrize("count", [0, 3])
def test_all_traces_in_one_answer_are_those_one_by_one(site: Site, count: int) -> None:
    site.plant(planted.made(count, SAMPLE))
    told = site.get("/api/traces/{key}").json()
    packed = np.frombuffer(base64.b64decode(told["packed"]), "<f4").reshape(count, 253)
    assert len(told["rows"]) == count
    for row in range(count):
        one = site.get(f"/api/traces/{{key}}/p{row + 1}").json()
        wanted = np.concatenate([np.ravel(one[n]) for n in ("proposal", "box", "weights", "votes")])
        np.testing.assert_array_equal(packed[row], wanted.astype(np.float32))
        assert told["rows"][row].items() <= one.items()


def test_nothing_is_told_of_an_image_that_was_not_seen(site: Site) -> None:
    unseen = site.services.images.listed("samples")[1].key
    for address in (f"traces/{unseen}", f"traces/{unseen}/p1", f"films/{unseen}.gif"):
        answer = site.get(f"/api/{address}")
        assert answer.status_code == 409
        assert answer.json()["detail"] == "The checkpoint has not seen this image yet."
    assert site.get("/api/films/nothing.gif").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "name", "kind", "seconds"),
    [
        # 5 stages of 1.5 s, the last of 4 s, and 45 frames of 0.07 s between them
        ("gif?instance=p2", "sample-0-p2.gif", "GIF", 14.65),
        ("gif?instance=all&min_score=0.895", "sample-0-all.gif", "GIF", 14.65),
        ("png?instance=p2", "sample-0-p2.png", "PNG", 0),
        ("png", "sample-0-all.png", "PNG", 0),
    ],
)
def test_films_to_take_away(site: Site, asked: str, name: str, kind: str, seconds: float) -> None:
    site.plant(planted.made(3, SAMPLE))
    answer = site.get(f"/api/films/{{key}}.{asked}")
    assert answer.status_code == 200
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == kind
        lasting = sum(frame.info.get("duration", 0) for frame in ImageSequence.Iterator(picture))
        assert lasting == pytest.approx(1000 * seconds)
        assert max(picture.size) <= 6 * 600


def test_a_film_of_nothing_says_so(site: Site) -> None:
    site.plant(planted.made(3, SAMPLE))
    answer = site.get("/api/films/{key}.gif?min_score=0.99")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.n_frames == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [("instance=p4", 404), ("instance=everything", 404), ("min_score=2", 422), ("min_score=", 422)],
)
def test_odd_films_are_refused_in_a_sentence(site: Site, asked: str, status: int) -> None:
    site.plant(planted.made(3, SAMPLE))
    answer = site.get(f"/api/films/{{key}}.gif?{asked}")
    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")


def test_a_film_of_too_many_instances_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_FILMED", 2)
    site.plant(planted.made(3, SAMPLE))
    answer = site.get("/api/films/{key}.png")
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "A film shows up to 2 instances and here are 3; raise the score."
    )
    assert site.get("/api/films/{key}.png?min_score=0.885").status_code == 200


def test_masks_of_the_first_pass_are_drawn_as_the_checkpoint_says(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=1)
    file = services.checkpoints.find(None)
    assert file is not None
    assert traces.pasting(file, SAMPLE) == Pasting()  # the stand-in says nothing
    write_checkpoint(file.path)  # sees a short side of 64 and a long one of 96 px
    assert traces.pasting(file, (32, 40)) == Pasting("whole", 2.0)
    services.close()
