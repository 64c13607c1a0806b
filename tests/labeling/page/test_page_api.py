"""Labeling on the page, by the requests that the page sends; the persons are played by the true labels."""

import http.client
import io
import json
import sqlite3
import threading
import time

import numpy as np
import pytest
from PIL import Image
from tests.labeling.heaps import COUNT, rows_of, write_answers
from tests.labeling.page.labeling_server import LabelingServer

pytestmark = pytest.mark.long

WORDS = ["--max-error", "0.1", "--confidence", "0.9"]


@pytest.fixture(scope="module")
def names(heap):
    folder, _ = heap
    return sorted(path.name for path in folder.iterdir())


def label_all(server, truth, names, clients=(("a", "Ada"),), wrong=lambda name, person, time: False):
    """Answer with all clients in turn until the labeling is done; return what was asked: person, image, options."""
    asked: list[tuple[str, int, list[str]]] = []
    for _ in range(10 * COUNT):
        taken = {}
        for client, person in clients:
            content = server.post("/api/next", client, person, count=2)
            for question in content["questions"][:1]:
                taken[client] = question
        if not taken and content["state"]["phase"] == "done":
            return asked
        assert not content["state"]["problem"]
        if not taken:
            time.sleep(0.05)
        assert len({question["image"] for question in taken.values()}) == len(taken)  # never the same image
        for client, person in clients:
            if client in taken:
                name = names[taken[client]["image"]]
                times = 1 + sum(one[:2] == (person, taken[client]["image"]) for one in asked)
                other = "sign 9" if truth[name] == "sign 0" else "sign 0"
                given = other if wrong(name, person, times) else truth[name]
                if server.answer(taken[client], given, client, person) is not None:
                    asked.append((person, taken[client]["image"], taken[client]["options"]))
    raise AssertionError("the labeling did not end")


@pytest.fixture(scope="module")
def done(heap, names, tmp_path_factory):
    """A labeling by two persons, who differ on some images when these are asked first, and its server."""
    folder, truth = heap
    place = tmp_path_factory.mktemp("done")
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], place) as server:
        asked = label_all(
            server, truth, names, [("a", "Ada"), ("b", "Bo")],
            wrong=lambda name, person, time: person == "Bo" and name.endswith("7.jpg") and time == 1,
        )  # fmt: skip
        yield server, place, asked


def test_two_persons_label_a_heap_with_a_promise(done, heap):
    server, place, asked = done
    _, truth = heap
    state = server.get("/api/state")
    assert state["phase"] == "done"
    rows = rows_of(place / "labels.csv")
    assert [row["file_name"] for row in rows] == sorted(truth)
    assert sum(row["who"] == "person" for row in rows) == state["answered"] < COUNT
    assert "2 persons (Ada, Bo) labeled" in state["summary"]
    assert state["persons"] == ["Ada", "Bo"]
    assert {person for person, *_ in asked} == {"Ada", "Bo"}
    # A promise of 10% is broken in at most 5 of 100 heaps; twice as many mistakes are far rarer than 1 in 10,000,
    # and Bo's mistakes were few.
    assert sum(row["label"] != truth[row["file_name"]] for row in rows) <= 0.25 * COUNT


def test_images_of_the_sample_are_asked_of_both_and_differences_are_asked_again(done, names):
    server, place, asked = done
    state = server.get("/api/state")
    persons: dict[int, list[str]] = {}
    for person, image, *_ in asked:
        persons.setdefault(image, []).append(person)
    twice = {image for image, by in persons.items() if len(by) > 1}
    pairs = [state["agreement"], state["self_agreement"]]
    with sqlite3.connect(place / "labels.sqlite") as database:
        ((sample,),) = database.execute("SELECT count(*) FROM questions WHERE phase = 'sample' AND attempt = 1")
    database.close()
    repeated = min(50, sample)
    assert sum(pair["images"] for pair in pairs if pair) == repeated == len(twice)
    # Most images are asked of the other person.
    assert state["agreement"]["images"] >= repeated / 2
    different = [image for _, image, options in asked if options]
    assert repeated - sum(pair["equal"] for pair in pairs if pair) == len(different)
    assert all(names[image].endswith("7.jpg") for image in different)
    assert "were labeled a second time by another person" in state["summary"]


def test_decisions_are_listed_searched_and_changed_and_the_file_is_written_again(done, names):
    server, place, _ = done
    before = rows_of(place / "labels.csv")
    found = server.get("/api/decisions?search=sign+5")
    assert found["total"] == sum(row["who"] == "person" and row["label"] == "sign 5" for row in before)
    decision = server.get("/api/decisions")["decisions"][0]
    assert decision["path"] == names[decision["image"]]
    other = "sign 2" if decision["label"] != "sign 2" else "sign 9"
    message = {"question": decision["question"], "label": other, "replaces": decision["answer"]}
    server.post("/api/answers", **message)
    # The change of a second browser, which saw the old answer, is conflict.
    conflict = server.post("/api/answers", client="b", person="Bo", status=409, **message)
    assert conflict["error"] == f"Ada answered meanwhile: {other}"
    assert server.questions() == []
    for _ in range(600):
        label_of = {row["file_name"]: row["label"] for row in rows_of(place / "labels.csv")}
        if label_of[decision["path"]] == other:
            break
        server.get("/api/state")
    assert label_of[decision["path"]] == other
    history = server.get(f"/api/decisions?search={decision['path']}")["decisions"][0]["history"]
    assert [label for label, *_ in history][-2:] == [decision["label"], other]


def test_a_file_of_another_program_is_not_overwritten(done, names):
    server, place, _ = done
    (place / "labels.csv").write_text("mine\n")
    decision = server.get("/api/decisions")["decisions"][0]
    server.post("/api/answers", question=decision["question"], label="?", replaces=decision["answer"])
    server.questions()
    for _ in range(600):
        if problem := server.get("/api/state")["problem"]:
            break
    assert "nothing is overwritten" in problem
    assert (place / "labels.csv").read_text() == "mine\n"


def test_killed_three_times_no_answer_is_lost(heap, names, tmp_path):
    folder, truth = heap
    recorded: dict[str, str] = {}
    for kill in range(4):
        with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
            kept = {
                decision["path"]: decision["label"]
                for offset in range(0, COUNT, 60)
                for decision in server.get(f"/api/decisions?offset={offset}")["decisions"]
            }
            assert kept == recorded
            for _ in range(15 if kill < 3 else 0):
                (question,) = server.questions()
                name = names[question["image"]]
                server.answer(question, truth[name])
                recorded[name] = truth[name]
    assert len(recorded) == 45


def test_an_answer_is_withdrawn_skipped_and_not_sure(heap, names, tmp_path):
    folder, truth = heap
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        first, second = server.questions(count=2)
        number = server.answer(first, truth[names[first["image"]]])
        (next_one,) = server.questions()
        assert next_one == second
        server.post("/api/answers", question=first["question"], label=None, replaces=number)
        # Another browser does not get it, since the person will see it again.
        assert first not in server.questions("b", "Bo", count=10)
        assert server.questions() == [first]
        assert server.questions(skipped=[first["question"]]) != [first]
        server.post("/api/next", count=1, skipped=[])
        server.answer(first, "?")
        state = server.get("/api/state")
        assert (state["answered"], state["classes"]) == (1, [truth[names[first["image"]]]])
        server.post("/api/answers", status=400, question=second["question"], label="no such class")
        server.post("/api/answers", status=409, question=10**6, label="?")
        code, stdout = server.stop()
    assert code == 0
    assert "1 of 240 images are answered by a person" in stdout
    assert "the same command goes on" in stdout


def test_a_group_is_named_at_once_and_counts_as_labels_by_the_model(heap, names, tmp_path):
    folder, truth = heap
    answers = write_answers(tmp_path / "answers.csv", truth, names[:20])
    with LabelingServer([str(folder), "--out", "labels.csv", "--answers", "answers.csv", *WORDS], tmp_path) as server:
        group = server.post("/api/groups/next")["group"]
        other = server.post("/api/groups/next", "b", "Bo")["group"]
        shown, shown_to_other = (
            {image for duplicates in one["images"] for image in duplicates} for one in (group, other)
        )
        assert shown
        assert not shown & shown_to_other
        name = truth[names[group["images"][0][0]]]
        chosen = [image for image in sorted(shown) if truth[names[image]] == name]
        # The file of answers adds classes at the same time, so only the order is certain: classes keep their keys.
        classes = server.post("/api/classes", name=name)["classes"]
        later = server.post("/api/classes", "b", "Bo", name="one more")["classes"]
        assert name in classes
        assert later[: len(classes)] == classes
        assert "one more" in later[len(classes) :]
        assert server.post("/api/groups/label", images=chosen, label=name)["labeled"] == len(chosen)
        assert not {i for c in server.post("/api/groups/next")["group"]["images"] for i in c} & set(chosen)
        server.post("/api/groups/label", images=[COUNT], label=name, status=409)
        label_all(server, truth, names)
        rows = {row["file_name"]: row for row in rows_of(tmp_path / "labels.csv")}
        by_group = [names[image] for image in chosen if rows[names[image]]["who"] == "group"]
        assert all(rows[path]["label"] == name for path in by_group)
        assert {rows[names[image]]["who"] for image in chosen} <= {"group", "person"}
        assert by_group
        assert f"{len(by_group)} have the label that the person gave to a group" in server.get("/api/state")["summary"]
        assert server.post("/api/groups/next")["group"] is None
    assert answers.exists()


def test_a_class_after_the_freeze_begins_another_attempt(heap, names, tmp_path):
    folder, truth = heap
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        while server.get("/api/state")["phase"] == "learn":
            for question in server.questions():
                server.answer(question, truth[names[question["image"]]])
        before = server.get("/api/state")
        assert (before["phase"], before["attempt"], before["frozen"]) == ("sample", 1, True)
        conflict = server.post("/api/classes", name="sign 7", status=409)
        assert "another attempt" in conflict["error"]
        (question,) = server.questions()
        message = {"name": "sign 7", "begins_attempt": True, "question": question["question"]}
        server.post("/api/classes", **message)
        after = server.get("/api/state")
        # The answer for which the class was added is kept.
        assert (after["attempt"], after["answered"]) == (2, before["answered"] + 1)
        assert "sign 7" in after["classes"]
        assert "sign 7" not in after["unused"]
        (decision,) = server.get("/api/decisions?search=sign+7")["decisions"]
        assert decision["image"] == question["image"]
        answer = {"question": decision["question"], "label": truth[decision["path"]], "replaces": decision["answer"]}
        server.post("/api/answers", **answer)
        assert server.post("/api/classes/remove", name="sign 0", status=409)["error"]
        label_all(server, truth, names)
        assert "attempt 2 at a risk of 2.50%" in server.get("/api/state")["summary"]


def test_an_answer_to_an_image_that_a_page_shows_is_kept_when_the_labels_are_frozen(heap, names, tmp_path):
    """Bo looks at an image that he got during a fit, for which no fit waits, while Ada answers all others."""
    folder, truth = heap
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        held = None
        while server.get("/api/state")["phase"] == "learn":
            if held is None and server.get("/api/state")["fitting"]:
                (held, *_) = server.post("/api/next", "b", "Bo", count=1)["questions"] or [None]
                if held and not server.get("/api/state")["fitting"]:  # perhaps not of the time of the fit
                    server.answer(held, truth[names[held["image"]]], "b", "Bo")
                    held = None
            elif held:
                assert server.post("/api/next", "b", "Bo", count=1)["questions"] == [held]
            for question in server.post("/api/next", count=1)["questions"]:
                server.answer(question, truth[names[question["image"]]])
        assert held
        assert server.answer(held, truth[names[held["image"]]], "b", "Bo") is not None
        label_all(server, truth, names, [("a", "Ada"), ("b", "Bo")])
        rows = {row["file_name"]: row for row in rows_of(tmp_path / "labels.csv")}
        assert rows[names[held["image"]]]["who"] == "person"
        assert "2 persons (Ada, Bo) labeled" in server.get("/api/state")["summary"]


def test_a_closed_page_gives_its_images_back(heap, tmp_path):
    folder, _ = heap
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        taken = server.post("/api/next", count=4)["questions"]
        assert not {one["question"] for one in server.questions("b", "Bo", count=10)} & {
            one["question"] for one in taken
        }
        server.post("/api/release")
        server.post("/api/release", "b", "Bo")
        assert server.post("/api/next", "b", "Bo", count=4)["questions"] == taken


def test_images_are_the_originals_and_pages_need_the_token(heap, names, tmp_path):
    folder, _ = heap
    with LabelingServer([str(folder), "--out", "labels.csv"], tmp_path) as server:
        (question,) = server.questions()
        status, content = server.request(f"/images/{question['image']}")
        assert status == 200
        shown = Image.open(io.BytesIO(content))
        with Image.open(folder / names[question["image"]]) as original:
            expected = original.convert("RGB").resize(shown.size, Image.Resampling.BICUBIC)
        assert max(shown.size) == 640
        assert np.abs(np.asarray(shown, float) - np.asarray(expected, float)).mean() < 4
        assert server.request(f"/thumbnails/{question['image']}")[0] == 200
        assert server.request("/images/999999")[0] == 404
        assert server.request("/images/-1")[0] == 400
        for path in ("/api/state", f"/images/{question['image']}", "/api/decisions"):
            assert server.request(path, token="another")[0] == 401
        assert server.request("/api/state", headers={"Host": "example.org"})[0] == 421
        assert server.request("/", token="")[0] == 200


def test_usage_errors(heap, tmp_path):
    from tests.snippets import run_here

    folder, _ = heap
    both = run_here(["label", str(folder), "--out", "a.csv", "--page", "--ask-to", "b.csv"], tmp_path)
    assert both.code == 2
    assert "--page asks in the browser" in both.stderr


def hostile_requests(count, seed):
    """Yield path and body of requests that no page sends, and some that it does."""
    rng = np.random.default_rng(seed)
    paths = [
        "/api/next", "/api/answers", "/api/classes", "/api/groups/next", "/api/groups/skip", "/api/groups/label",
        "/api/state", "/api/decisions?offset=-1", "/api/decisions?search=%00", "/images/0", "/images/1e9", "/images/..",
        "/thumbnails/99999999999999999999", "/", "/page.js", "/../session.py", "/docs", "/openapi.json", "/%ff",
    ]  # fmt: skip
    values = [
        None, True, -1, 0, 1, 2**53, 2**70, 1.5, "", "?", "-", " ", "a" * 101, "a\0b", "\ud800", "sign 0", [], [1],
        [[1]], {}, {"a": 1}, "'; DROP TABLE answers; --", "<script>", "\u202e", [0] * 3000, float("inf"),
    ]  # fmt: skip
    names = ["client", "person", "question", "label", "replaces", "count", "skipped", "name", "images", "other"]
    for _ in range(count):
        path = str(rng.choice(paths))
        message = {str(name): values[rng.integers(len(values))] for name in rng.permutation(names)[: rng.integers(10)]}
        body = json.dumps(message, ensure_ascii=True).encode()
        kind = rng.integers(5)
        if kind == 0:
            body = body[: rng.integers(len(body) + 1)]
        elif kind == 1:
            body = bytes(rng.integers(0, 256, rng.integers(200), np.uint8))
        elif kind == 2:
            body = b"[" * int(rng.integers(1, 5000))
        yield path, None if rng.random() < 0.2 else body


@pytest.mark.parametrize("count", [pytest.param(400), pytest.param(10_000, marks=pytest.mark.nightly)])
def test_hostile_requests_get_errors_and_no_answer_is_lost(heap, names, tmp_path, count):
    folder, truth = heap
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        recorded: dict[str, str] = {}
        for number, (path, body) in enumerate(hostile_requests(count, seed=0)):
            status, content = server.request(path, body)
            assert status < 500, (path, body, content)
            if number % 40 == 0 and len(recorded) < 60:
                (question,) = server.questions("honest", "Ada")
                name = names[question["image"]]
                if server.answer(question, truth[name], "honest", "Ada") is not None:
                    recorded[name] = truth[name]
        for status in (server.request("/api/state", b"{" + b" " * 200_000)[0], server.request("/api/next", b"")[0]):
            assert status in (400, 405, 413)
        listed = [d for offset in range(0, 240, 60) for d in server.get(f"/api/decisions?offset={offset}")["decisions"]]
        by_ada = {decision["path"]: decision["label"] for decision in listed if decision["who"] == "Ada"}
        assert by_ada.items() >= recorded.items()
        code, _ = server.stop()
    assert code == 0
    assert "Traceback" not in "".join(server.lines)


@pytest.mark.nightly
def test_killed_ten_times_between_and_during_requests_no_answer_is_lost(heap, names, tmp_path):
    folder, truth = heap
    rng = np.random.default_rng(0)
    recorded: dict[str, str] = {}
    for _ in range(10):
        with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
            killer = threading.Timer(rng.uniform(0.1, 1.5), server.process.kill)
            killer.start()
            try:
                while True:
                    (question,) = server.questions()
                    name = names[question["image"]]
                    if server.answer(question, truth[name]) is not None:
                        recorded[name] = truth[name]
            except (OSError, http.client.HTTPException, AssertionError, ValueError):
                killer.join()
    with LabelingServer([str(folder), "--out", "labels.csv", *WORDS], tmp_path) as server:
        listed = [d for offset in range(0, 240, 60) for d in server.get(f"/api/decisions?offset={offset}")["decisions"]]
        kept = {decision["path"]: decision["label"] for decision in listed}
        # An answer may be recorded whose response was cut off; none that was acknowledged is missing.
        assert kept.items() >= recorded.items()
        assert len(recorded) > 10
        assert len(kept) <= len(recorded) + 10
