"""The store of runs: what is put is there, once, for every thread and process."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from comask.annotation import claims
from comask.annotation.store import OutcomeRow, Store
from comask.errors import InputError, StoreError

RUN = ("dataset", "checkpoint", "1.0", {"min_score": 0.05})
DONE = OutcomeRow("a.png", "done", "", 40, 30, 2, "stamp")


@pytest.fixture
def run(store: Store) -> int:
    return store.start_or_resume(*RUN).id


def test_a_run_is_the_same_when_all_its_parts_are(store: Store) -> None:
    assert store.find(*RUN) is None
    first = store.start_or_resume(*RUN)
    assert store.find(*RUN) == first
    assert (first.dataset, first.checkpoint, first.version) == RUN[:3]
    assert first.settings == RUN[3]
    assert store.start_or_resume(*RUN) == first
    others = [
        ("another", *RUN[1:]),
        (RUN[0], "another", *RUN[2:]),
        (*RUN[:2], "1.1", RUN[3]),
        (*RUN[:3], {"min_score": 0.05, "max_instances": 9}),
    ]
    assert len({store.start_or_resume(*other).id for other in others} | {first.id}) == 5
    assert [row.dataset for row in store.runs("another")] == ["another"]
    assert len(store.runs()) == 5


def test_what_is_put_is_there_after_the_store_was_closed(place: str) -> None:
    failed = OutcomeRow("häß 雪 #%.png", "failed", "it is text")
    with Store.open(place) as store:
        run = store.start_or_resume(*RUN).id
        store.put(run, DONE, b"\0payload")
        store.put(run, failed)
    with Store.open(place) as store:
        assert store.start_or_resume(*RUN).id == run
        assert store.outcomes(run) == {one.name: one for one in (DONE, failed)}
        assert (store.outcome(run, "a.png"), store.outcome(run, "b.png")) == (DONE, None)
        assert store.names(run) == {"a.png"}
        assert store.names(run, "failed") == {failed.name}
        assert store.names(run, among=["b.png", failed.name, "a.png"]) == {"a.png"}
        assert store.names(run, among=[]) == frozenset()
        assert store.payload(run, "a.png") == b"\0payload"
        assert store.payload(run, failed.name) is None


def test_a_later_outcome_takes_the_place_of_an_earlier_one(store: Store, run: int) -> None:
    store.put(run, OutcomeRow("a.png", "failed", "no memory"))
    store.put(run, DONE, b"found")
    store.put_pairs(run, "a.png", "t", b"pairs")
    store.put(run, DONE, b"found again")
    assert store.outcomes(run) == {"a.png": DONE}
    assert store.payload(run, "a.png") == b"found again"
    assert store.pairs(run, {"a.png": "t"}) == {}


def test_payloads_come_in_the_order_they_are_asked_for(store: Store, run: int) -> None:
    names = [f"{number}.png" for number in range(40)]
    for name in names:
        store.put(run, OutcomeRow(name, "done"), name.encode())
    asked = [*names[::-1], "none.png", names[3]]
    found = list(store.payloads(run, asked))
    assert [name for name, _ in found] == [*names[::-1], names[3]]
    assert all(payload == name.encode() for name, payload in found)


def test_names_beyond_ascii_case_and_order_are_told_apart(store: Store, run: int) -> None:
    names = ["a.png", "A.png", "a.png ", "ä.png", "a\u0308.png", "%", "_", "x" * 2_000]
    for number, name in enumerate(names):
        store.put(run, OutcomeRow(name, "done", instances=number), bytes([number]))
    assert [store.payload(run, name) for name in names] == [bytes([n]) for n in range(len(names))]


@pytest.mark.parametrize("name", ["", "x" * 2_001, "雪" * 667, "a\0b", "\udcff.png"])
def test_names_that_no_database_takes_are_refused(store: Store, run: int, name: str) -> None:
    with pytest.raises(InputError, match="is no name that a store can keep an image under"):
        store.put(run, OutcomeRow(name, "done"))
    with pytest.raises(InputError, match="is no name"):
        store.claim(run, name, "me")


def test_an_image_is_forgotten_in_one_run_or_in_all(store: Store, run: int) -> None:
    other = store.start_or_resume("dataset", "other", "1.0", {}).id
    stranger = store.start_or_resume("stranger", "other", "1.0", {}).id
    for one in (run, other, stranger):
        for name in ("a.png", "b.png"):
            store.put(one, OutcomeRow(name, "done"), b"x")
    store.put_pairs(run, "a.png", "t", b"pairs")
    store.forget(run, ["b.png"])
    assert [store.names(one) for one in (run, other)] == [{"a.png"}, {"a.png", "b.png"}]
    store.forget_everywhere("dataset", "a.png")
    assert [store.names(one) for one in (run, other)] == [frozenset(), {"b.png"}]
    assert store.names(stranger) == {"a.png", "b.png"}
    assert store.pairs(run, {"a.png": "t"}) == {}


def test_pairs_are_those_of_the_truth_that_is_asked_about(store: Store, run: int) -> None:
    store.put_pairs(run, "a.png", "old", b"1")
    store.put_pairs(run, "a.png", "new", b"2")
    store.put_pairs(run, "b.png", "old", b"3")
    assert store.pairs(run, {"a.png": "new", "b.png": "new", "c.png": "x"}) == {"a.png": b"2"}
    assert store.pairs(run, {"a.png": "old"}) == {}


# -- claims -------------------------------------------------------------------------------------


def test_pairs_of_many_images_are_kept_together_and_take_the_place_of_earlier_ones(
    store: Store, run: int
) -> None:
    store.put_pairs(run, "a", "old", b"1")
    store.put_many_pairs(run, {"a": ("new", b"2"), "b": ("new", b"3")})
    assert store.pairs(run, {"a": "old", "b": "new"}) == {"b": b"3"}
    assert store.pairs(run, {"a": "new"}) == {"a": b"2"}


def test_an_image_is_claimed_by_one_worker_at_a_time(store: Store, run: int) -> None:
    mine, other = claims.new_worker(), claims.new_worker()
    assert store.claim(run, "a.png", mine)
    assert store.claim(run, "a.png", mine)
    assert not store.claim(run, "a.png", other)
    assert store.claim(run, "b.png", other)
    store.release(run, "a.png", other)
    assert not store.claim(run, "a.png", other)
    store.release(run, "a.png", mine)
    assert store.claim(run, "a.png", other)


def test_what_has_an_outcome_is_not_claimed(store: Store, run: int) -> None:
    worker = claims.new_worker()
    assert store.claim(run, "a.png", worker)
    store.put(run, DONE, b"x")
    assert not store.claim(run, "a.png", worker)
    store.forget(run, ["a.png"])
    assert store.claim(run, "a.png", claims.new_worker())


def test_the_claim_of_a_process_that_is_gone_is_void(store: Store, run: int) -> None:
    host, pid, born, tag = claims.new_worker().split("|")
    for gone in (f"{host}|{pid}|{int(born) - 1}|{tag}", f"{host}|{2**22 + 1}|{born}|{tag}"):
        store.release(run, "a.png", "me")
        assert store.claim(run, "a.png", gone)
        assert store.claim(run, "a.png", "me")


def test_the_claim_of_another_machine_ends_with_its_lease(
    store: Store, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.claim(run, "a.png", "elsewhere|1|1|x")
    assert not store.claim(run, "a.png", "me")
    now = time.time()
    monkeypatch.setattr("comask.annotation.claims.time.time", lambda: now + claims.LEASE + 1)
    assert store.claim(run, "a.png", "me")


def test_threads_share_images_without_doubles(store: Store, run: int) -> None:
    names = [f"{number}.png" for number in range(60)]
    taken: list[str] = []

    def work() -> None:
        worker = claims.new_worker()
        for name in names:
            if store.claim(run, name, worker):
                taken.append(name)
                store.put(run, OutcomeRow(name, "done"), b"x")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)
    assert store.names(run) == set(names)


# -- opening ------------------------------------------------------------------------------------


def test_threads_that_open_one_new_store_find_one_run(place: str) -> None:
    found: list[int] = []

    def work() -> None:
        with Store.open(place) as store:
            found.append(store.start_or_resume(*RUN).id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        run = store.start_or_resume(*RUN).id
        other = sqlite3.connect(tmp_path / "s", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.outcomes(run) == {}  # the writer is not done, and waiting for it would raise
        assert other.in_transaction
        other.execute("ROLLBACK")
        other.close()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (".", r"\. is a folder; a store is a file or a database's URL"),
        ("none/s", "there is no folder .*none for the store s"),
        ("text", "text can't be opened as a store: file is not a database"),
        ("abacus://x", "abacus://x can't be opened as a store: "),
        ("://", "The store's address is no URL"),
        (
            "oracle://me:secret@h/d",
            r"oracle://me:\*\*\*@h/d can't be .* package .* is not installed",
        ),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("not a database, but some lines of text\n" * 40)
    with pytest.raises(StoreError, match=sentence) as refusal:
        Store.open(target)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path / "s").close()
    with sqlite3.connect(tmp_path / "s") as base:
        base.execute("UPDATE comask_about SET value = '2'")
    base.close()
    with pytest.raises(StoreError, match="is a store of format 2, this version of CoMask uses 1"):
        Store.open(tmp_path / "s")


def test_a_store_that_went_away_is_one_sentence(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.sqlite") as store:
        run = store.start_or_resume(*RUN).id
        with sqlite3.connect(tmp_path / "store.sqlite") as base:
            base.execute("DROP TABLE comask_outcomes")
        base.close()
        with pytest.raises(StoreError, match=r"store\.sqlite can't be written to: no such table"):
            store.put(run, DONE)
        with pytest.raises(StoreError, match="can't be read: no such table"):
            store.outcomes(run)


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(StoreError, match=r"^postgresql://me:\*\*\*@.* can't be opened") as refusal:
        Store.open("postgresql://me:secret@/none?host=/nowhere")
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)
