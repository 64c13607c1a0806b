"""Groups of similar images."""

import numpy as np

from saccade.labeling.groups import MAX_SHOWN, group_similar


def test_groups_are_similar_and_duplicates_are_shown_as_one():
    rng = np.random.default_rng(0)
    centers = 10 * np.eye(4, 64)
    components = np.repeat(centers, 60, axis=0) + rng.normal(size=(240, 64))
    components[61] = components[60] * 1.001  # nearly equal
    groups = group_similar(components.astype(np.float32), range(10, 240), seed=0)
    shown = [image for group in groups for duplicates in group.images for image in duplicates]
    assert len(shown) == len(set(shown))
    assert min(shown) >= 10
    for group in groups:
        assert len({position // 60 for position in group.positions}) == 1
        assert len(group.images) <= MAX_SHOWN
    duplicates = [set(images) for group in groups for images in group.images if len(images) > 1]
    assert duplicates == [{60, 61}]


def test_no_image_no_group():
    assert group_similar(np.zeros((3, 4), np.float32), [], seed=0) == []
