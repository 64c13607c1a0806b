"""The page's own paths, and the client's: a picture as it is, and what is told of the models."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Query, Request

from saccade.deploy.server.model_registry import Models, Serving
from saccade.deploy.server.occlusion import GRID, covered
from saccade.deploy.server.openapi import ERRORS, PICTURE_BODY
from saccade.deploy.server.request_parsing import read_body
from saccade.deploy.server_messages import ClassAnswer, OcclusionAnswer, PictureAnswer, ServedModels


def routes(models: Models) -> APIRouter:
    """The page's own paths."""
    router = APIRouter(tags=["Pictures"], responses=ERRORS)

    @router.get("/api/models", summary="The models, and what is known of them")
    async def told() -> ServedModels:
        return ServedModels(models=tuple(serving.served.told() for serving in models))

    @router.post("/api/models/{name}/picture", summary="What is in a picture", openapi_extra=PICTURE_BODY)
    async def picture(request: Request, name: str, top: int = Query(default=3, ge=1, le=100_000)) -> PictureAnswer:
        serving = models.get(name)
        (answer,) = await models.classify(serving, [await read_body(request)])
        order = np.argsort(-answer, kind="stable")[:top]
        names = serving.served.record.class_names
        return PictureAnswer(
            **_identity(serving),
            unsure=serving.served.is_unsure(float(answer.max())),
            classes=tuple(ClassAnswer(class_name=names[place], probability=float(answer[place])) for place in order),
        )

    @router.post("/api/models/{name}/occlusion", summary="Where the network looked", openapi_extra=PICTURE_BODY)
    async def occlusion(request: Request, name: str) -> OcclusionAnswer:
        serving = models.get(name)
        pixels = await models.decode(serving, await read_body(request))
        whole, *answers = await models.answer(serving, [pixels, *covered(pixels)])
        best = int(whole.argmax())
        change = np.array([answer[best] for answer in answers], np.float64) - whole[best]
        return OcclusionAnswer(
            **_identity(serving),
            class_name=serving.served.record.class_names[best],
            probability=float(whole[best]),
            change=tuple(map(tuple, change.reshape(GRID, GRID).tolist())),
        )

    return router


def _identity(serving: Serving) -> dict[str, str]:
    return {"model": serving.served.name, "version": str(serving.served.version)}
