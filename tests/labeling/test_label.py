"""Labeling of a heap by answers from files; the person is played by the true labels."""

import json
import shutil
import sqlite3

import pytest
from tests.labeling.heaps import COUNT, rows_of, write_answers
from tests.snippets import run_here

import saccade
from saccade.errors import DataError
from saccade.file_lock import try_lock
from saccade.labeling.answers import read_answers
from saccade.labeling.label import Goal, label
from saccade.labeling.session import Session


@pytest.fixture(scope="module")
def labeled(heap, tmp_path_factory):
    """Return the labels of the heap with all answers in one file, and the state."""
    folder, truth = heap
    place = tmp_path_factory.mktemp("labeled")
    answers = write_answers(place / "answers.csv", truth)
    labeling = label(folder, Goal(0.1, 0.9), out=place / "labels.csv", answers=[answers])
    return labeling, place / "labels.csv"


def test_all_images_get_a_label_and_few_are_wrong(heap, labeled):
    _, truth = heap
    labeling, path = labeled
    rows = rows_of(path)
    assert labeling.phase == "done"
    assert [row["file_name"] for row in rows] == sorted(truth)
    by_person = [row for row in rows if row["who"] == "person"]
    by_model = [row for row in rows if row["who"] == "model"]
    assert (len(by_person), len(by_model)) == (labeling.num_answered, labeling.num_by_model)
    assert len(by_model) > 0.2 * COUNT
    assert labeling.summary.startswith(f"A person labeled {len(by_person)} of 240 images: ")
    assert "at most 24 labels (10.0% of the images) differ from this person's labels" in labeling.summary
    assert all(row["label"] == truth[row["file_name"]] for row in by_person)
    # A promise of 10% is broken in at most 5 of 100 heaps; twice as many mistakes are far rarer than 1 in 10,000.
    assert sum(row["label"] != truth[row["file_name"]] for row in rows) <= 0.2 * COUNT
    assert all(0 <= float(row["confidence"]) <= 1 for row in by_model)
    assert {row["confidence"] for row in by_person} == {""}


def test_the_label_file_is_data_to_train_on(heap, labeled, tmp_path):
    folder, _ = heap
    _, path = labeled
    from saccade.data.reading_options import ReadingOptions

    dataset = saccade.load(path, reading=ReadingOptions(root=str(folder)))
    assert sum(len(split) for split in dataset.splits.values()) == COUNT
    assert set(dataset.class_names) == {"sign 0", "sign 2", "sign 5", "sign 9"}


@pytest.mark.long
def test_answers_in_many_small_files_give_the_same_labels(heap, labeled, tmp_path):
    """The command is called again and again, with the answers to the list that the call before wrote."""
    folder, truth = heap
    words = ["label", str(folder), "--out", "labels.csv", "--max-error", "0.1", "--confidence", "0.9", "--seed", "0"]
    phases: list[str] = []
    asked: list[str] = []
    answers: list[str] = []
    for call in range(40):
        done = run_here([*words, *answers, "--ask-to", f"ask-{call}.csv", "--json"], tmp_path)
        assert done.code == 0, done.stderr
        phases.append(done.json["phase"])
        if done.json["phase"] == "done":
            break
        listed = [row["file_name"] for row in rows_of(tmp_path / f"ask-{call}.csv")]
        assert [name for name, _ in done.json["questions"]] == listed
        assert not set(listed) & set(asked)
        asked += listed
        write_answers(tmp_path / f"answers-{call}.csv", truth, listed)
        answers = ["--answers", f"answers-{call}.csv"]
    assert {"learn", "sample", "done"} <= set(phases)
    assert (tmp_path / "labels.csv").read_bytes() == labeled[1].read_bytes()
    again = run_here(words, tmp_path)
    assert again.code == 0, again.stderr
    assert "written: labels.csv" in again.stdout
    assert (tmp_path / "labels.csv").read_bytes() == labeled[1].read_bytes()


def test_the_command_goes_on_with_the_answers_to_its_list(heap, tmp_path):
    folder, truth = heap
    words = ["label", str(folder), "--out", "labels.csv", "--max-error", "0.1", "--confidence", "0.9", "--seed", "5"]
    first = run_here([*words, "--ask-to", "ask.csv", "--json"], tmp_path)
    listed = [row["file_name"] for row in rows_of(tmp_path / "ask.csv")]
    assert [name for name, _ in first.json["questions"]] == listed
    write_answers(tmp_path / "answers.csv", truth, listed)
    state = ["--state", "labels.sqlite"]
    second = run_here([*words, *state, "--answers", "answers.csv", "--ask-to", "more.csv", "--json"], tmp_path)
    assert (second.json["phase"], second.json["num_answered"]) == ("learn", len(listed))
    assert second.json["expected_answers"] > len(listed)
    more = rows_of(tmp_path / "more.csv")
    assert not {row["file_name"] for row in more} & set(listed)
    assert {row["reason"] for row in more} == {"random", "uncertain"}
    assert not (tmp_path / "labels.csv").exists()


def test_what_is_shown_to_a_person(heap, tmp_path):
    folder, _ = heap
    done = run_here(["label", str(folder), "--out", "labels.csv", "--ask-to", "ask.csv"], tmp_path)
    assert done.code == 0
    assert "0 of 240 images are answered by a person" in done.stdout
    assert "to be answered next, to learn: 20 images" in done.stdout
    assert "the promise needs at least 58 answers" in done.stdout
    assert {row["reason"] for row in rows_of(tmp_path / "ask.csv")} == {"typical"}
    assert {row["label"] for row in rows_of(tmp_path / "ask.csv")} == {""}
    named = run_here(["label", str(folder), "--out", "labels.csv"], tmp_path)
    assert "--ask-to FILE writes them into a list" in named.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_a_heap_of_few_images_is_labeled_by_the_person(heap, tmp_path, count):
    folder, truth = heap
    (tmp_path / "few").mkdir()
    names = sorted(truth)[:count]
    for name in names:
        shutil.copy(folder / name, tmp_path / "few" / name)
    answers = write_answers(tmp_path / "answers.csv", truth, names)
    labeling = label(tmp_path / "few", out=tmp_path / "labels.csv", answers=[answers])
    assert (labeling.phase, labeling.num_answered) == ("done", count)
    assert labeling.summary == f"A person labeled all {count} images."
    assert [row["label"] for row in rows_of(tmp_path / "labels.csv")] == [truth[name] for name in names]


def test_the_sample_is_drawn_after_the_labels_are_frozen_and_is_uniform(heap, labeled):
    _, path = labeled
    with Session(path.with_suffix(".sqlite")) as session:
        attempt = session.setting("attempt")
        frozen, sample = session.frozen(attempt), session.answers("sample", attempt)
        settings = session.setting("frozen")
    assert len(sample) == settings["sample"]
    ranks = [rank for rank, label in enumerate(frozen) if label.position in sample]
    # The mean rank of a uniform sample, within five standard errors.
    n, left = len(ranks), len(frozen)
    error = left * ((1 / 12) * (1 / n) * (1 - n / left)) ** 0.5
    assert abs(sum(ranks) / n - (left - 1) / 2) < 5 * error
    with sqlite3.connect(path.with_suffix(".sqlite")) as database:
        phases = list(database.execute("SELECT attempt, phase FROM questions ORDER BY number"))
    database.close()
    order = ["learn", "sample", "threshold"]
    assert phases == sorted(phases, key=lambda one: (one[0], order.index(one[1])))


def test_not_sure_counts_as_a_mistake_and_has_no_label(heap, tmp_path):
    folder, truth = heap
    with_doubts = {name: "?" if number % 15 == 0 else label for number, (name, label) in enumerate(truth.items())}
    answers = write_answers(tmp_path / "answers.csv", with_doubts)
    labeling = label(folder, Goal(0.1, 0.9), out=tmp_path / "labels.csv", answers=[answers])
    rows = rows_of(tmp_path / "labels.csv")
    assert labeling.phase == "done"
    assert labeling.num_without_label > 0
    assert len(rows) == COUNT - labeling.num_without_label
    assert "?" not in {row["label"] for row in rows}
    with Session(tmp_path / "labels.sqlite") as session:
        sample = session.answers("sample", session.setting("attempt"))
        wrong = session.setting("kept")["found"]
    assert wrong >= sum(answer == "?" for answer in sample.values())


def test_other_images_another_goal_and_a_changed_state_are_errors(heap, labeled, tmp_path):
    folder, truth = heap
    copied = tmp_path / "heap"
    shutil.copytree(folder, copied)
    answers = write_answers(tmp_path / "answers.csv", truth)
    label(copied, out=tmp_path / "labels.csv")
    with pytest.raises(DataError, match="another goal"):
        label(copied, Goal(0.2), out=tmp_path / "labels.csv", answers=[answers])
    shutil.copy(folder / "IMG_0000.jpg", copied / "new.jpg")
    (copied / "IMG_0001.jpg").unlink()
    with pytest.raises(DataError, match="not those with which the labeling began") as caught:
        label(copied, out=tmp_path / "labels.csv", answers=[answers])
    assert caught.value.found == "1 image gone, such as IMG_0001.jpg"
    state = tmp_path / "state.sqlite"
    state.write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="no state of a labeling"):
        label(folder, out=tmp_path / "other.csv", state=state)


def test_two_processes_do_not_go_on_at_once(heap, tmp_path):
    folder, _ = heap
    held = try_lock(tmp_path / "labels.sqlite.lock")
    assert held is not None
    with held, pytest.raises(DataError, match="another process goes on with the labeling"):
        label(folder, out=tmp_path / "labels.csv")
    with pytest.raises(DataError, match="there is no folder"):
        label(folder, out=tmp_path / "labels.csv", state=tmp_path / "nowhere/state.sqlite")


def test_frozen_labels_that_were_changed_are_an_error(heap, labeled, tmp_path):
    folder, _ = heap
    state = tmp_path / "state.sqlite"
    shutil.copy(labeled[1].with_suffix(".sqlite"), state)
    with sqlite3.connect(state) as database:  # as it was before the threshold was found
        database.execute("UPDATE settings SET value = '\"sample\"' WHERE name = 'phase'")
        database.execute("UPDATE frozen SET label = 'other' WHERE rank = 3")
    database.close()
    with pytest.raises(DataError, match="was changed after it was frozen"):
        label(folder, out=tmp_path / "labels.csv", state=state)


def test_answers_of_label_studio(tmp_path):
    names = ["IMG_1.jpg", "b/IMG_2.jpg", "IMG_3.jpg", "IMG_4.jpg"]
    tasks = [
        {
            "data": {"image": f"/data/upload/1/0a1b2c3d-{name.rpartition('/')[2]}"},
            "annotations": [{"result": [{"value": {"choices": [answer]}, "type": "choices"}]}],
        }
        for name, answer in zip(names, "abc", strict=False)
    ]
    tasks += [{"data": {"image": "/data/local-files/?d=photos/IMG_4.jpg"}, "annotations": []}]
    (tmp_path / "answers.json").write_text(json.dumps(tasks))
    assert read_answers(tmp_path / "answers.json", names) == ({0: "a", 1: "b", 2: "c"}, 0)


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ("file_name,label\nIMG_0001.jpg,a\nIMG_0001.jpg,b\n", "give an image two labels"),
        ("file_name,label\nother.jpg,a\n", "are for other images"),
        ("name,what\n", "name them file_name and label"),
        ('[{"data": 3, "annotations": [{"result": [{"value": {"choices": ["a"]}}]}]}]', "can't be read as answers"),
    ],
)
def test_unusable_answers(tmp_path, contents, problem):
    path = tmp_path / ("answers.json" if contents.startswith("[") else "answers.csv")
    path.write_text(contents)
    with pytest.raises(DataError) as caught:
        read_answers(path, ["IMG_0000.jpg", "IMG_0001.jpg"])
    assert problem in str(caught.value)


def test_known_labels_count_as_answers(heap, tmp_path):
    """A few images that a person sorted into class folders before; the folders are no part of the heap."""
    folder, truth = heap
    for name in sorted(truth)[:30]:
        (tmp_path / "sorted" / truth[name]).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, tmp_path / "sorted" / truth[name] / f"copy-of-{name}")
    done = run_here(
        ["label", str(folder), "--out", "labels.csv", "--labels", "sorted", "--ask-to", "ask.csv", "--json"], tmp_path
    )
    assert done.code == 0, done.stderr
    assert (done.json["phase"], done.json["num_answered"]) == ("learn", 30)
    assert done.json["expected_answers"] > 30  # the model has learned from them
    listed = {row["file_name"]: row["reason"] for row in rows_of(tmp_path / "ask.csv")}
    assert not set(listed) & set(sorted(truth)[:30])
    assert set(listed.values()) == {"random", "uncertain"}
    again = run_here(["label", str(folder), "--out", "labels.csv", "--labels", "sorted", "--json"], tmp_path)
    assert again.json["num_answered"] == 30
    for path in (tmp_path / "sorted").rglob("*.jpg"):
        with path.open("ab") as stream:
            stream.write(b"other contents")
    other = run_here(["label", str(folder), "--out", "labels.csv", "--labels", "sorted"], tmp_path)
    assert other.code == 1
    assert "the labels of --labels are for other images" in other.stderr
    network = run_here(["label", str(folder), "--out", "labels.csv", "--run", "nowhere"], tmp_path)
    assert network.code == 1


def test_only_the_answers_of_a_person_are_taken_from_the_label_file_of_a_labeling(heap, labeled, tmp_path):
    folder, _ = heap
    _, path = labeled
    names = sorted(heap[1])
    by_person = {row["file_name"]: row["label"] for row in rows_of(path) if row["who"] == "person"}
    answers, _ = read_answers(path, names)
    assert {names[place]: name for place, name in answers.items()} == by_person
    with pytest.raises(DataError, match="may be by a model") as caught:
        label(folder, out=tmp_path / "labels.csv", labels=path)
    assert "--answers" in str(caught.value)


def test_a_corrected_file_changes_answers_and_the_same_file_does_not(heap, tmp_path):
    folder, truth = heap
    words = ["label", str(folder), "--out", "labels.csv", "--json"]
    first = run_here([*words, "--ask-to", "ask.csv"], tmp_path)
    listed = [row["file_name"] for row in rows_of(tmp_path / "ask.csv")]
    mistyped = {**truth, listed[0]: "sing 0"}
    write_answers(tmp_path / "mistyped.csv", mistyped, listed)
    run_here([*words, "--answers", "mistyped.csv"], tmp_path)
    write_answers(tmp_path / "corrected.csv", truth, listed)
    corrected = run_here([*words, "--answers", "corrected.csv"], tmp_path)
    assert "'corrected.csv' changes 1 answer" in corrected.json["notes"]
    again = run_here([*words, "--answers", "mistyped.csv"], tmp_path)  # taken before: a later correction stands
    assert not any("changes" in note for note in again.json["notes"])
    with Session(tmp_path / "labels.sqlite") as session:
        names = sorted(truth)
        assert {names[place]: name for place, name in session.answers().items()} == {
            name: truth[name] for name in listed
        }
    assert first.json["num_answered"] == 0
    assert again.json["num_answered"] == len(listed)


def test_answers_for_other_images_and_unreadable_images_are_notes(heap, tmp_path):
    folder, truth = heap
    shutil.copytree(folder, tmp_path / "heap")
    (tmp_path / "heap" / "broken.jpg").write_text("no image")
    rows = [f"{name},{truth[name]}" for name in sorted(truth)[:30]]
    (tmp_path / "answers.csv").write_text("\n".join(["file_name,label", *rows, "gone.jpg,sign 0"]))
    done = run_here(["label", "heap", "--out", "labels.csv", "--answers", "answers.csv", "--json"], tmp_path)
    assert done.code == 0, done.stderr
    notes = " | ".join(done.json["notes"])
    assert "1 image can't be read and get no label: broken.jpg (" in notes
    assert "1 row of 'answers.csv' name no image of the data" in notes
    assert "name the files again with the next list" in notes
    assert "note: 1 image can't be read" in run_here(["label", "heap", "--out", "labels.csv"], tmp_path).stderr


def test_a_report_and_folders_can_be_added_to_a_finished_labeling(heap, labeled, tmp_path):
    folder, truth = heap
    _, path = labeled
    for file in (path, path.with_suffix(".sqlite")):
        shutil.copy(file, tmp_path / file.name)
    before = path.read_bytes()
    words = ["label", str(folder), "--out", "labels.csv"]
    done = run_here([*words, "--report", "labels.md", "--export-folders", "sorted"], tmp_path)
    assert done.code == 0, done.stderr
    assert (tmp_path / "labels.csv").read_bytes() == before
    assert "A person labeled" in (tmp_path / "labels.md").read_text()
    links = {link.name: link.parent.name for link in (tmp_path / "sorted").rglob("*.jpg")}
    assert links == {row["file_name"]: row["label"] for row in rows_of(path)}
    (tmp_path / "labels.csv").write_text("mine\n")
    foreign = run_here(words, tmp_path)
    assert foreign.code == 1
    assert "'labels.csv' exists already; nothing is overwritten" in foreign.stderr
    assert (tmp_path / "labels.csv").read_text() == "mine\n"
    assert truth


def test_a_class_whose_name_is_no_folder_name_has_a_folder_with_percent_signs(heap, tmp_path):
    folder, truth = heap
    names = sorted(truth)[:4]
    (tmp_path / "few").mkdir()
    for name in names:
        shutil.copy(folder / name, tmp_path / "few" / name)
    odd = dict(zip(names, ("a/b", "..", "plain", "a/b"), strict=True))
    write_answers(tmp_path / "answers.csv", odd)
    words = ["label", "few", "--out", "labels.csv", "--answers", "answers.csv", "--export-folders", "sorted"]
    done = run_here(words, tmp_path)
    assert done.code == 0, done.stderr
    found = {link.name: link.parent.name for link in (tmp_path / "sorted").rglob("*.jpg")}
    assert found == dict(zip(names, ("a%2Fb", "%2E%2E", "plain", "a%2Fb"), strict=True))
    assert not (tmp_path / names[1]).exists()


@pytest.mark.long
def test_from_a_heap_to_a_report(heap, tmp_path):
    """The whole way, as a user types it; the labels are scored by this program."""
    folder, truth = heap
    write_answers(tmp_path / "answers.csv", truth)
    for words in (
        [
            "label",
            str(folder),
            "--out",
            "labels.csv",
            "--max-error",
            "0.1",
            "--answers",
            "answers.csv",
            "--report",
            "l.md",
        ],
        ["train", "labels.csv", "--root", str(folder), "--recipe", "linear-probe", "--out", "run"],
        ["report", "run"],
        ["evaluate", "run", "--json"],
    ):
        done = run_here(words, tmp_path)
        assert done.code == 0, done.stderr
    rows = rows_of(tmp_path / "labels.csv")
    wrong = sum(row["label"] != truth[row["file_name"]] for row in rows)
    assert wrong <= 0.2 * COUNT
    assert f"A person labeled {sum(row['who'] == 'person' for row in rows)} of 240 images" in (
        tmp_path / "l.md"
    ).read_text(encoding="utf-8")
    assert done.json["accuracy"] > 0.7
    assert (tmp_path / "run/report.html").is_file()
