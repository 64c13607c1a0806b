import numpy as np

from saccade.models.networks.whitening import whitening_filters


def smooth_images(n=40):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 6, 6, 3)).astype(float)
    return np.clip(np.kron(coarse, np.ones((1, 4, 4, 1))) + rng.normal(0, 6, (n, 24, 24, 3)), 0, 255).astype(np.uint8)


def outputs(images, kernel, bias):
    """Compute the outputs of the stem in float64 by loops over the patch, [pixels, filters]."""
    pixels = images.astype(np.float64) / 127.5 - 1
    size = pixels.shape[1] - 1
    terms = [
        pixels[:, i : i + size, j : j + size] @ kernel[i, j].astype(np.float64) for i in range(2) for j in range(2)
    ]
    return (sum(terms) + bias).reshape(-1, kernel.shape[-1])


def test_filtered_patches_are_uncorrelated_with_variance_near_one():
    """The variance v of an eigenvector becomes v / (v + floor)."""
    images = smooth_images()
    found = outputs(images, *whitening_filters(images, patch=2))
    half = found.shape[1] // 2
    covariance = np.cov(found[:, :half].T, bias=True)
    pixels = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    patches = np.concatenate([pixels[:, i : i + 23, j : j + 23] for i in range(2) for j in range(2)], axis=-1)
    variances = np.linalg.eigvalsh(np.cov(patches.reshape(-1, 12).T, bias=True))
    assert np.allclose(np.diag(covariance), variances / (variances + 0.02), atol=0.01)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.02


def test_each_filter_has_its_negative():
    images = smooth_images()
    found = outputs(images, *whitening_filters(images, patch=2))
    half = found.shape[1] // 2
    assert np.allclose(found[:, :half], -found[:, half:], atol=1e-4)


def test_constant_images_give_finite_filters():
    kernel, bias = whitening_filters(np.full((3, 16, 16, 3), 77, np.uint8), patch=2)
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
