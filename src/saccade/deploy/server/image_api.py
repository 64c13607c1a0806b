"""The paths of the page and of `Client`: prediction for an image file, occlusion map, and metadata of the models."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray

from saccade.deploy.server.model_registry import ModelInstance, ModelRegistry
from saccade.deploy.server.openapi import ERRORS, IMAGE_BODY
from saccade.deploy.server.request_parsing import read_image_body
from saccade.deploy.server_messages import ClassPrediction, ImagePrediction, OcclusionMap, ServedModels
from saccade.runs.ood_p_value import is_ood

GRID = 8
_GRAY = 128


def routes(models: ModelRegistry) -> APIRouter:
    """Return the routes of the image API."""
    router = APIRouter(tags=["Images"], responses=ERRORS)

    @router.get("/api/models", summary="Metadata of the models")
    async def list_models() -> ServedModels:
        return ServedModels(models=tuple(instance.model.info() for instance in models))

    @router.post("/api/models/{name}/image", summary="Predicted classes of an image", openapi_extra=IMAGE_BODY)
    async def image(request: Request, name: str, top: int = Query(default=3, ge=1, le=100_000)) -> ImagePrediction:
        instance = models.get(name)
        (scores,) = await models.classify(instance, [await read_image_body(request)])
        probabilities = scores.probabilities
        order = np.argsort(-probabilities, kind="stable")[:top]
        class_names = instance.model.record.class_names
        return ImagePrediction(
            **_identity(instance),
            abstained=instance.model.abstains(float(probabilities.max())),
            ood_p_value=scores.ood_p_value,
            is_ood=scores.ood_p_value is not None and is_ood(scores.ood_p_value),
            classes=tuple(
                ClassPrediction(class_name=class_names[label], probability=float(probabilities[label]))
                for label in order
            ),
        )

    @router.post("/api/models/{name}/occlusion", summary="Occlusion map of an image", openapi_extra=IMAGE_BODY)
    async def occlusion(request: Request, name: str) -> OcclusionMap:
        instance = models.get(name)
        pixels = await models.decode(instance, await read_image_body(request))
        scores = await models.predict(instance, [pixels, *occluded(pixels)])
        unoccluded, *predictions = [one.probabilities for one in scores]
        best = int(unoccluded.argmax())
        change = np.array([prediction[best] for prediction in predictions], np.float64) - unoccluded[best]
        return OcclusionMap(
            **_identity(instance),
            class_name=instance.model.record.class_names[best],
            probability=float(unoccluded[best]),
            change=tuple(map(tuple, change.reshape(GRID, GRID).tolist())),
        )

    return router


def _identity(instance: ModelInstance) -> dict[str, str]:
    return {"model": instance.model.name, "version": str(instance.model.version)}


def occluded(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Cover each cell of a grid with a gray patch in turn.

    Each patch is twice as wide and as high as a cell, so that neighboring patches overlap. Source: M. D. Zeiler,
    R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.

    Args:
        pixels: an image, uint8 [height, width, 3].

    Returns:
        `GRID` x `GRID` images, row by row.
    """
    height, width = pixels.shape[:2]
    rows, columns = _patches(height), _patches(width)
    images = []
    for row in rows:
        for column in columns:
            image = pixels.copy()
            image[row, column] = _GRAY
            images.append(image)
    return images


def _patches(length: int) -> list[slice]:
    """Return the extents of the patches along one axis."""
    cell = length / GRID
    starts = [min(max(round((index - 0.5) * cell), 0), length - 1) for index in range(GRID)]
    ends = [round((index + 1.5) * cell) for index in range(GRID)]
    return [slice(start, max(end, start + 1)) for start, end in zip(starts, ends, strict=True)]
