"""Metrics of a server for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "saccade_request_seconds",
            "Seconds from the start of a request to its response.",
            ("path", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "saccade_batch_images",
            "Images in a batch of a network.",
            ("model",),
            buckets=_IMAGES,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "saccade_waiting_images", "Images that wait for their probabilities.", registry=self._registry
        )
        self._reloads = Counter("saccade_reloads", "Reloads of a model.", ("model",), registry=self._registry)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Record a response to a request; `path` is the path of a route, not that of the request."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def observe_batch(self, model: str, images: int) -> None:
        """Record the number of images in a batch."""
        self._batches.labels(model).observe(images)

    def set_waiting_images(self, images: int) -> None:
        """Set the number of images that wait."""
        self._waiting.set(images)

    def count_reload(self, model: str) -> None:
        """Count a reload of a model."""
        self._reloads.labels(model).inc()

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
