"""What is counted for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """What is counted for Prometheus; of one server, and of nothing else in its process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "saccade_request_seconds",
            "From a request's beginning to its answer.",
            ("path", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "saccade_batch_images",
            "Images that a network answered together.",
            ("model",),
            buckets=_IMAGES,
            registry=self._registry,
        )
        self._waiting = Gauge("saccade_waiting_images", "Images that wait for their answer.", registry=self._registry)
        self._reloads = Counter(
            "saccade_reloads", "Times that a model took another's place.", ("model",), registry=self._registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered; `path` is one of the server's own, without names from the request."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def batch(self, model: str, images: int) -> None:
        """A network answered so many images together."""
        self._batches.labels(model).observe(images)

    def waiting(self, images: int) -> None:
        """So many images wait now."""
        self._waiting.set(images)

    def reloaded(self, model: str) -> None:
        """A model took another's place."""
        self._reloads.labels(model).inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
