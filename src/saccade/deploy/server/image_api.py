"""The page's own paths, and the client's: an image as it is, and what is told of the models."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Query, Request

from saccade.deploy.server.model_registry import Models, Serving
from saccade.deploy.server.occlusion import GRID, covered
from saccade.deploy.server.openapi import ERRORS, IMAGE_BODY
from saccade.deploy.server.request_parsing import read_body
from saccade.deploy.server_messages import ClassPrediction, ImagePrediction, OcclusionMap, ServedModels


def routes(models: Models) -> APIRouter:
    """The page's own paths."""
    router = APIRouter(tags=["Images"], responses=ERRORS)

    @router.get("/api/models", summary="The models, and what is known of them")
    async def list_models() -> ServedModels:
        return ServedModels(models=tuple(serving.served.info() for serving in models))

    @router.post("/api/models/{name}/image", summary="What is in an image", openapi_extra=IMAGE_BODY)
    async def image(request: Request, name: str, top: int = Query(default=3, ge=1, le=100_000)) -> ImagePrediction:
        serving = models.get(name)
        (prediction,) = await models.classify(serving, [await read_body(request)])
        order = np.argsort(-prediction, kind="stable")[:top]
        names = serving.served.record.class_names
        return ImagePrediction(
            **_identity(serving),
            abstained=serving.served.abstains(float(prediction.max())),
            classes=tuple(
                ClassPrediction(class_name=names[place], probability=float(prediction[place])) for place in order
            ),
        )

    @router.post("/api/models/{name}/occlusion", summary="Where the network looked", openapi_extra=IMAGE_BODY)
    async def occlusion(request: Request, name: str) -> OcclusionMap:
        serving = models.get(name)
        pixels = await models.decode(serving, await read_body(request))
        whole, *predictions = await models.predict(serving, [pixels, *covered(pixels)])
        best = int(whole.argmax())
        change = np.array([prediction[best] for prediction in predictions], np.float64) - whole[best]
        return OcclusionMap(
            **_identity(serving),
            class_name=serving.served.record.class_names[best],
            probability=float(whole[best]),
            change=tuple(map(tuple, change.reshape(GRID, GRID).tolist())),
        )

    return router


def _identity(serving: Serving) -> dict[str, str]:
    return {"model": serving.served.name, "version": str(serving.served.version)}
