"""Peer: the linear head alone, scikit-learn's logistic regression on the features of timm's `tf_efficientnet_lite0`.

The features are those of timm's transform for evaluation: the center 224 pixels of the image at 256. The classifier has
scikit-learn's default penalty. Training images are those of the training and of the validation split, in random order;
where their features would take more than 90% of the budget, the remaining images are left out.
"""

from __future__ import annotations

import random

import cpu_torchvision  # noqa: F401 - before timm, which imports torchvision
import timm
import timm_network
from protocol import Job
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES_PART = 0.9  # of the budget


def main(job: Job) -> None:
    """Compute features until the budget ends, fit the head, and predict the test images."""
    timm_network.show_weights(job)
    network = timm.create_model(timm_network.NETWORK, num_classes=0, **timm_network.pretrained(job))
    files = sorted(path for folder in job.train_folders for path in folder.glob("*/*"))
    random.Random(job.seed).shuffle(files)
    features = timm_network.outputs(network, files, stop=lambda: job.elapsed > FEATURES_PART * job.seconds).numpy()
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    head.fit(features, [path.parent.name for path in files[: len(features)]])
    job.end_training()
    job.notes |= {"images": len(features)}
    test = job.test_images()
    probabilities = head.predict_proba(timm_network.outputs(network, test).numpy())
    job.save(test, probabilities.tolist())


if __name__ == "__main__":
    main(Job.of_command_line())
