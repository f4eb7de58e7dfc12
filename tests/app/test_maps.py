"""Maps as packets and files: the library's numbers, computed once; odd questions are refused."""

import io
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from app.canvas.packet import unpack
from app.services.tasks import StoppedError
from comask.analysis import Look, components, look, reduced
from comask.analysis.contribution import Contribution, contributions
from tests.app.inspecting import SIZES, Desk, desk, open_folder, write_network
from tests.app.standins import blobs, encode, studio

NAMES = ["lateral", "1x", "8x", "4x", "2x", "fused", "gated", "output"]
BRANCHES = NAMES[1:5]
# 60 x 80 image pixels are 64 x 85 network pixels, at a scale of 64 / 60
CELLS = {2: [16, 22], 3: [8, 11], 4: [4, 6], 5: [2, 3]}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch, desk(tmp_path_factory.mktemp("maps"), patch) as one:
        yield one


@pytest.fixture(scope="module")
def seen(at: Desk) -> Look:
    return look(at.predictor, at.pixels)


@pytest.fixture(scope="module")
def made(at: Desk) -> tuple[Contribution, ...]:
    return contributions(at.predictor, at.pixels)


def equal(left: Any, right: Any) -> None:
    """Compare float32 arrays that were computed twice."""
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6 * np.abs(right).max())


# -- packets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["mean", "norm", "max", "channel"])
def test_activations_are_the_librarys(at: Desk, seen: Look, how: str) -> None:
    head, arrays = at.packet(f"maps/{at.image.key}", how=how, channel=3)
    about = [head[name] for name in ("schema", "what", "how", "scale", "size")]
    assert about == [1, "activation", how, pytest.approx(64 / 60), [60, 80]]
    assert head["channel"] == (3 if how == "channel" else 0)
    assert [one["level"] for one in head["levels"]] == [2, 3, 4, 5]
    for told, level in zip(head["levels"], seen.levels, strict=True):
        assert (told["stride"], told["cells"]) == (2 ** told["level"], CELLS[told["level"]])
        assert (told["channels"], told["branches"]) == (32, BRANCHES)
        assert [one["name"] for one in told["panels"]] == NAMES
        equal(arrays[told["gate"]["array"]], level.gate)
        for panel in told["panels"]:
            values = arrays[panel["values"]["array"]]
            assert list(values.shape) == told["cells"]
            equal(values, reduced(level.map(panel["name"]), how, 3))  # type: ignore[arg-type]


def test_the_norm_is_what_is_shown_first(at: Desk) -> None:
    first = at.get(f"maps/{at.image.key}")
    assert first.headers["content-type"] == "application/octet-stream"
    assert first.headers["x-content-type-options"] == "nosniff"
    for same in ({"what": "activation", "how": "norm"}, {"channel": "9"}, {"how": "", "what": ""}):
        assert at.get(f"maps/{at.image.key}", **same).content == first.content


def test_components_have_three_colours_and_say_what_they_hold(at: Desk, seen: Look) -> None:
    head, arrays = at.packet(f"maps/{at.image.key}", how="pca")
    for told, level in zip(head["levels"], seen.levels, strict=True):
        for panel in told["panels"]:
            values, shares = components(level.map(panel["name"]))
            given = arrays[panel["values"]["array"]]
            assert given.shape == (*told["cells"], 3)
            assert 0 <= given.min() <= given.max() <= 1
            np.testing.assert_allclose(given, values, atol=1e-2)
            told_shares = ", ".join(f"{100 * share:.0f} %" for share in shares)
            assert panel["note"] == f"Red, green and blue hold {told_shares} of the variance."


@pytest.mark.parametrize("how", ["share", "strength"])
def test_contributions_are_the_librarys_and_add_up(
    at: Desk, made: tuple[Contribution, ...], how: str
) -> None:
    head, arrays = at.packet(f"maps/{at.image.key}", what="contribution", how=how)
    assert (head["what"], head["how"]) == ("contribution", how)
    for told, level in zip(head["levels"], made, strict=True):
        maps = {one["name"]: arrays[one["values"]["array"]] for one in told["panels"]}
        bias = ["bias"] if how == "share" else []
        assert list(maps) == [*BRANCHES, *bias, "fused"]
        parts = level.share if how == "share" else level.strength
        for name, part in zip(BRANCHES, parts, strict=True):
            np.testing.assert_allclose(maps[name], part, rtol=1e-4, atol=1e-5 * level.fused.max())
        equal(maps["fused"], level.fused)
        assert 0 <= told["unexplained"] <= 1e-4
        assert list(told["shares"]) == [*BRANCHES, "bias"]
        assert sum(told["shares"].values()) == pytest.approx(1, abs=1e-4)
        if how == "share":
            added = sum(maps[name] for name in (*BRANCHES, "bias"))
            np.testing.assert_allclose(added, maps["fused"], rtol=1e-3, atol=1e-4 * added.max())
            whole = maps["fused"].sum(dtype=np.float64)
            for name, share in told["shares"].items():
                assert share == pytest.approx(maps[name].sum(dtype=np.float64) / whole, abs=1e-5)


def test_who_wins_where_is_the_strongest_part(at: Desk) -> None:
    head, arrays = at.packet(f"maps/{at.image.key}", what="contribution", how="strength")
    for told in head["levels"]:
        maps = [arrays[one["values"]["array"]] for one in told["panels"]][:4]
        winner = arrays[told["winner"]["array"]]
        np.testing.assert_array_equal(winner, np.argmax(maps, axis=0))
        for number, name in enumerate(BRANCHES):
            assert told["wins"][name] == pytest.approx((winner == number).mean())
        assert sum(told["wins"].values()) == pytest.approx(1)


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"how": "channel", "channel": 31},
        {"how": "pca"},
        {"what": "contribution"},
        {"what": "contribution", "how": "strength"},
    ],
)
def test_files_hold_what_the_packet_holds(at: Desk, asked: dict[str, Any]) -> None:
    head, arrays = at.packet(f"maps/{at.image.key}", **asked)
    for panel in head["levels"][1]["panels"]:
        values = arrays[panel["values"]["array"]]
        array = at.get(f"maps/{at.image.key}/P3-{panel['name']}.npy", **asked)
        np.testing.assert_array_equal(np.load(io.BytesIO(array.content)), values)
        table = at.get(f"maps/{at.image.key}/P3-{panel['name']}.csv", **asked)
        rows = np.loadtxt(io.StringIO(table.text), delimiter=",", ndmin=2)
        np.testing.assert_array_equal(rows.astype(np.float32).reshape(values.shape), values)


@pytest.mark.parametrize(
    ("asked", "about"),
    [
        ({}, "activation-norm"),
        ({"how": "channel", "channel": 7}, "activation-channel-7"),
        ({"how": "max", "channel": 7}, "activation-max"),
        ({"what": "contribution"}, "contribution-share"),
    ],
)
def test_files_are_named_after_image_question_and_map(
    at: Desk, asked: dict[str, Any], about: str
) -> None:
    for kind, media in (("npy", "application/octet-stream"), ("csv", "text/csv; charset=utf-8")):
        answer = at.get(f"maps/{at.image.key}/P4-8x.{kind}", **asked)
        _, _, name = answer.headers["content-disposition"].partition("filename*=UTF-8''")
        assert urllib.parse.unquote(name) == f"0.png-{about}-P4-8x.{kind}"
        assert answer.headers["content-type"] == media
        assert answer.headers["x-content-type-options"] == "nosniff"


# -- once ---------------------------------------------------------------------------------------


def test_one_look_answers_all_questions_of_an_image(at: Desk) -> None:
    """The network runs for the first question; a repeated one does not even draw again."""
    image = at.services.images.listed("samples")[1]
    at.use_of_model()
    first = at.get(f"maps/{image.key}", how="mean")
    assert at.use_of_model() == 1
    assert at.get(f"maps/{image.key}", how="mean").content == first.content
    at.packet(f"maps/{image.key}", how="max")
    at.packet(f"maps/{image.key}", what="contribution")
    at.get(f"maps/{image.key}/P2-fused.npy")
    assert at.use_of_model() == 0


def test_another_checkpoint_is_another_question(at: Desk) -> None:
    other = at.file.path.with_name("zweiter.safetensors")
    write_network(other, seed=1)
    try:
        first = at.get(f"maps/{at.image.key}", checkpoint="small")
        second = at.get(f"maps/{at.image.key}", checkpoint="zweiter")
        assert first.content != second.content
        assert unpack(second.content)[0]["size"] == [60, 80]
    finally:
        other.unlink()


def test_two_questions_at_one_moment_need_one_look(at: Desk) -> None:
    image = at.services.images.listed("samples")[2]
    at.use_of_model()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(at.get, f"maps/{image.key}", how=how) for how in ("mean", "max")]
        asked += [pool.submit(at.get, f"maps/{image.key}", what="contribution") for _ in range(2)]
        assert [one.result().status_code for one in asked] == [200] * 4
    assert at.use_of_model() == 1


def test_a_file_that_was_replaced_is_another_image(at: Desk, tmp_path: Path) -> None:
    dataset = open_folder(at.services, tmp_path, None)
    address = f"maps/d{dataset}-0"
    first = at.get(address, how="mean")
    (tmp_path / "images/0.png").write_bytes(blobs(seed=50, size=SIZES[0], count=9))
    assert at.get(address, how="mean").content != first.content


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (5, 3)])
def test_images_of_any_size_are_answered(at: Desk, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = at.services.images.add(encode(pixels), "odd.png").image
    for asked in ({"how": "pca"}, {"what": "contribution"}):
        head, _ = at.packet(f"maps/{image.key}", **asked)
        assert head["size"] == list(size)
        assert at.get(f"maps/{image.key}/P5-fused.csv", **asked).status_code == 200
    for asked in ({"frame": "image"}, {"frame": "level", "norm": "live", "path": "cascade"}):
        assert len(at.packet(f"fields/{image.key}", **asked)[1]) == 20
        assert at.get(f"fields/{image.key}/P2-8x.npy", **asked).status_code == 200
    head, _ = at.packet(f"ablation/{image.key}", switches='{"branches_off": [[2, 1]]}')
    assert head["document"]["image"]["height"] == size[0]


# -- odd questions ------------------------------------------------------------------------------

NUMBERS = ["-1", "nan", "inf", "1e3", "1.5", "true", "9" * 400, "4096", "٣", "0x1", " 1", "1 "]


@pytest.mark.parametrize("channel", NUMBERS)
def test_odd_channels_are_refused(at: Desk, channel: str) -> None:
    status, said = at.refusal(f"maps/{at.image.key}", how="channel", channel=channel)
    assert status == 422
    assert said == "channel must be a whole number from 0 to 4095."


def test_a_channel_that_the_model_has_not_is_refused(at: Desk) -> None:
    asked = {"how": "channel", "channel": 32}
    status, said = at.refusal(f"maps/{at.image.key}", **asked)
    assert (status, said) == (422, "a channel is one of 0 .. 31, got 32.")
    status, said = at.refusal(f"maps/{at.image.key}/P2-fused.npy", **asked)
    assert (status, said) == (404, "a channel is one of 0 .. 31, got 32.")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"what": "field"}, "what must be one of activation, contribution."),
        ({"what": "1"}, "what must be one of activation, contribution."),
        ({"how": "median"}, "how must be one of mean, norm, max, channel, pca."),
        ({"how": "share"}, "how must be one of mean, norm, max, channel, pca."),
        ({"what": "contribution", "how": "mean"}, "how must be one of share, strength."),
        ({"how": "<script>" * 999}, "how must be one of mean, norm, max, channel, pca."),
    ],
)
def test_unknown_words_are_refused(at: Desk, asked: dict[str, str], said: str) -> None:
    for address in (f"maps/{at.image.key}", f"maps/{at.image.key}/P2-1x.npy"):
        assert at.refusal(address, **asked) == (422, said)


@pytest.mark.parametrize(
    "name",
    ["P6-1x.npy", "P2-16x.npy", "P2-1x.png", "P2-1x", "P2.npy", "2-1x.npy", "P2-.csv", "-.npy"],
)
def test_unknown_maps_are_refused(at: Desk, name: str) -> None:
    status, _ = at.refusal(f"maps/{at.image.key}/{name}")
    assert status == 404


@pytest.mark.parametrize("what", ["activation", "contribution"])
def test_maps_of_the_other_kind_are_refused(at: Desk, what: str) -> None:
    name = {"activation": "bias", "contribution": "gated"}[what]
    assert at.refusal(f"maps/{at.image.key}/P2-{name}.npy", what=what) == (
        404,
        "P2 has no map of this name.",
    )


@pytest.mark.parametrize("key", ["nothing", "d000000000000-0", "0" * 32, "..", "%00", "d-1", "é"])
def test_unknown_images_are_refused(at: Desk, key: str) -> None:
    for address in (f"maps/{urllib.parse.quote(key)}", f"maps/{urllib.parse.quote(key)}/P2-1x.npy"):
        status, _ = at.refusal(address)
        assert status == 404


@pytest.mark.parametrize("name", ["", "nobody", "../small", "small.safetensors/", "x" * 5000])
def test_unknown_checkpoints_are_refused(at: Desk, name: str) -> None:
    status, said = at.refusal(f"maps/{at.image.key}", checkpoint=name)
    assert (status, said) == (404, "There is no checkpoint of this name; it may have been removed.")


def test_a_model_that_is_no_network_says_so(tmp_path: Path) -> None:
    services = studio(tmp_path)
    try:
        at = Desk(services)
        for address in (f"maps/{at.image.key}", f"maps/{at.image.key}/P2-1x.npy"):
            status, said = at.refusal(address)
            assert status in (404, 422)
            assert said == "This model can't be looked into."
    finally:
        services.close()


def test_without_a_checkpoint_there_is_nothing_to_look_into(tmp_path: Path) -> None:
    services = studio(tmp_path, checkpoint=False)
    try:
        at = Desk(services)
        told = (409, "There is no checkpoint to look into; add one first.")
        assert at.refusal(f"maps/{at.image.key}") == told
    finally:
        services.close()


# -- work that takes a while --------------------------------------------------------------------


def test_slow_work_says_how_far_it_is_and_can_be_stopped(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate, ended = Event(), Event(), Event()

    def work(*given: Any) -> bytes:
        report = given[-1]
        try:
            report(1, 4)
            begun.set()
            assert gate.wait(20)
            report(2, 4)
            return b""
        except StoppedError:
            ended.set()
            raise

    monkeypatch.setattr("app.api.inspections.WAIT", 0.2)
    monkeypatch.setattr("app.actions.fields.packet", work)
    at.client.get(f"/api/fields/{at.image.key}")
    assert begun.wait(20)
    answer = at.client.get(f"/api/fields/{at.image.key}")
    told = answer.json()
    assert (answer.status_code, told["done"], told["total"]) == (202, 1, 4)
    assert answer.headers["cache-control"] == "no-store"
    address = f"/api/tasks/{told['task']}"
    strange = at.client.delete(address, headers={"origin": "https://evil.example"})
    assert strange.status_code == 403
    assert "Another site" in strange.json()["detail"]
    assert at.client.get(f"/api/fields/{at.image.key}").json()["task"] == told["task"]
    assert at.client.delete(address).json() == {"stopped": True}
    gate.set()
    assert ended.wait(20)


@pytest.mark.parametrize("number", ["task-0", "x", "9" * 400, "%00", "task-1%0A"])
def test_what_is_no_work_is_not_stopped(at: Desk, number: str) -> None:
    for origin in ({}, {"origin": "http://testserver"}):
        answer = at.client.delete(f"/api/tasks/{number}", headers=origin)
        assert (answer.status_code, answer.json()) == (200, {"stopped": False})


def test_a_busy_studio_says_so(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.tasks.MOST", 0)
    told = (429, "The Studio is busy with other questions; ask again in a moment.")
    assert at.refusal(f"maps/{at.image.key}", how="channel", channel=30) == told
