"""Groups of the data, such as patients: each stays in one split wherever splits are made."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.images import class_folder, encode, photo, write
from tests.data.test_splits import content, split_of

from saccade.data.load import load
from saccade.data.splits import choose_test, hold_out, join_groups, second_half, splits_of
from saccade.experiments.fold_assignment import assign_folds, nested_subset_order

deterministic = settings(deadline=None, derandomize=True, database=None, max_examples=200)


def joined(groups, duplicates=None):
    """Return the joined groups of images with groups of the data, of which a few may be duplicates."""
    return join_groups(np.arange(len(groups)) if duplicates is None else np.asarray(duplicates, np.int64), groups)


def divided(numbers, chosen):
    """Return the groups that have images on both sides."""
    return [number for number in np.unique(numbers) if 0 < chosen[numbers == number].mean() < 1]


@st.composite
def grouped(draw):
    """Draw labels and groups of images, also groups with images of several classes, and images without a group."""
    size = draw(st.integers(2, 60))
    labels = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    groups = draw(st.lists(st.integers(-1, draw(st.integers(0, 12))), min_size=size, max_size=size))
    duplicates = draw(st.lists(st.integers(0, 2 * size), min_size=size, max_size=size))
    hashes = [content(draw(st.integers(0, 10**6)) if draw(st.booleans()) else group) for group in duplicates]
    return np.unique(labels, return_inverse=True)[1].tolist(), groups, duplicates, hashes


@deterministic
@given(grouped())
def test_joined_groups_are_the_connected_images(drawn):
    _, groups, duplicates, _ = drawn
    numbers = join_groups(np.asarray(duplicates, np.int64), groups)
    reference = list(range(len(groups)))
    changed = True
    while changed:  # the lowest image that an image is connected with, by either kind of group
        changed = False
        for i in range(len(groups)):
            for j in range(len(groups)):
                connected = duplicates[i] == duplicates[j] or groups[i] == groups[j] >= 0
                if connected and reference[j] < reference[i]:
                    reference[i], changed = reference[j], True
    assert (np.equal.outer(numbers, numbers) == np.equal.outer(reference, reference)).all()
    with_group = {reference[i] for i, group in enumerate(groups) if group >= 0}
    assert ((numbers < 0) == [number in with_group for number in reference]).all()


@deterministic
@given(grouped())
def test_no_split_divides_a_group_of_the_data(drawn):
    labels, groups, duplicates, hashes = drawn
    numbers = join_groups(np.asarray(duplicates, np.int64), groups)
    of_data = numbers < 0
    in_test = choose_test(hashes, labels, numbers.tolist())
    assert not divided(numbers[of_data], in_test[of_data])
    assert set(np.asarray(labels)[~in_test]) == set(labels)  # every class can be learned
    split = replace(split_of(labels, hashes), duplicate_groups=numbers)
    training, validation = hold_out(split, 0.3, 0)
    assert not set(training.duplicate_groups[training.duplicate_groups < 0]) & set(validation.duplicate_groups)
    assert set(training.labels) == set(labels)
    second = second_half(split)
    assert not divided(numbers[of_data], second[of_data])
    folds = assign_folds(split.labels, numbers, 3)
    assert all(len(set(folds[numbers == number])) == 1 for number in np.unique(numbers))
    order = nested_subset_order(split.labels, numbers, seed=0, repeat=0)
    places = np.argsort(order)
    for number in np.unique(numbers):
        assert np.ptp(places[numbers == number]) == np.sum(numbers == number) - 1  # adjacent


def test_a_class_with_a_single_group_stays_in_the_training_split():
    labels = [0] * 10 + [1] * 10
    numbers = joined([0] * 10 + [number // 2 + 1 for number in range(10)])
    for start in range(50):
        hashes = [content(100 * start + number) for number in range(20)]
        in_test = choose_test(hashes, labels, numbers.tolist())
        assert not in_test[:10].any()
        assert 0 < in_test[10:].sum() < 10
        training, validation = hold_out(replace(split_of(labels, hashes), duplicate_groups=numbers), 0.3, 0)
        assert set(training.labels) == {0, 1}
        assert set(validation.labels) == {1}


def test_cameras_that_see_every_class_give_a_test_split():
    labels = [number % 3 for number in range(60)]
    for cameras in (2, 3, 5):
        for start in range(50):
            hashes = [content(1000 * start + number) for number in range(60)]
            in_test = choose_test(hashes, labels, joined([number // 3 % cameras for number in range(60)]).tolist())
            assert 0 < in_test.sum() < 60


def test_groups_are_joined_with_duplicates():
    numbers = joined([0, 0, 1, 1, -1, -1, 2], [0, 1, 1, 2, 2, 5, 6])
    assert len({*numbers[:5]}) == 1
    assert len({*numbers}) == 3
    assert (numbers < 0).tolist() == [True, True, True, True, True, False, True]


@pytest.fixture
def patients(tmp_path, own_cache):
    """Label file of 48 images of two classes and 12 patients, of which patients 0 and 1 share an image."""
    rows = []
    class_folder(tmp_path / "images", count=24)
    write(tmp_path / "images" / "cat" / "again.png", encode(photo(32, 32, seed=0), "PNG"))
    for name in ("cat", "dog"):
        for path in sorted((tmp_path / "images" / name).iterdir()):
            patient = "p1" if path.stem == "again" else f"p{int(path.stem) // 4 + (6 if name == 'dog' else 0)}"
            rows.append((f"{name}-{path.name}", name, patient))
            path.rename(tmp_path / "images" / rows[-1][0])
        (tmp_path / "images" / name).rmdir()
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "label", "patient"), *rows])
    return tmp_path / "labels.csv", {f"images/{name}": patient for name, _, patient in rows}


def test_patients_stay_in_one_split_of_a_label_file(patients):
    path, patient_of = patients
    dataset = load(path)
    splits = splits_of(dataset, validation_split=0.2, seed=0)
    members = {name: {patient_of[image] for image in split.names} for name, split in splits.items()}
    assert all(members.values())
    assert not members["train"] & members["test"]
    assert not members["train"] & members["validation"]
    assert not members["test"] & members["validation"]
    assert sum(map(len, splits.values())) == len(patient_of)
    assert any({"p0", "p1"} <= of_split for of_split in members.values())  # they share an image
    training = dataset.splits["train"]
    folds = assign_folds(training.labels, training.duplicate_groups, 3)
    for patient in {patient_of[name] for name in training.names}:
        assert len({folds[i] for i, name in enumerate(training.names) if patient_of[name] == patient}) == 1


def test_without_groups_the_split_is_by_image(patients):
    path, patient_of = patients
    dataset = load(path)
    text = path.read_text().replace("patient", "unused")
    path.write_text(text)
    by_image = load(path)
    assert len(np.unique(by_image.splits["train"].duplicate_groups)) > len(
        np.unique(dataset.splits["train"].duplicate_groups)
    )
    assert {patient_of[name] for name in by_image.splits["train"].names} & {
        patient_of[name] for name in by_image.splits["test"].names
    }
