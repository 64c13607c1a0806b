"""The page's own paths, and the client's: a picture as it is, and what is told of the models."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from saccade.deploy.server.bodies import read_body
from saccade.deploy.server.models import Models, Serving
from saccade.deploy.server.occlusion import GRID, covered
from saccade.deploy.server.openapi import ERRORS, PICTURE_BODY


class ClassAnswer(BaseModel):
    """A class and how probable it is."""

    class_name: str
    probability: float


class PictureAnswer(BaseModel):
    """What is in a picture.

    Attributes:
        model: that answered.
        version: of it.
        unsure: whether the most probable class is no answer, because it is not probable enough to keep the promise.
        classes: the most probable first.
    """

    model: str
    version: str
    unsure: bool
    classes: list[ClassAnswer]


class OcclusionAnswer(BaseModel):
    """Where the network looked.

    Attributes:
        model: that answered.
        version: of it.
        class_name: the most probable class.
        probability: of it.
        change: of that probability when the picture is covered with grey around each place of a grid, row by row.
    """

    model: str
    version: str
    class_name: str
    probability: float
    change: list[list[float]]


class ServedModels(BaseModel):
    """All that is told of the models."""

    models: list[dict[str, Any]]


def routes(models: Models) -> APIRouter:
    """The page's own paths."""
    router = APIRouter(tags=["Pictures"], responses=ERRORS)

    @router.get("/api/models", summary="The models, and what is known of them")
    async def told() -> ServedModels:
        return ServedModels(models=[serving.served.told() for serving in models])

    @router.post("/api/models/{name}/picture", summary="What is in a picture", openapi_extra=PICTURE_BODY)
    async def picture(request: Request, name: str, top: int = Query(default=3, ge=1, le=100_000)) -> PictureAnswer:
        serving = models.get(name)
        (answer,) = await models.classify(serving, [await read_body(request)])
        order = np.argsort(-answer, kind="stable")[:top]
        names = serving.served.record.class_names
        return PictureAnswer(
            **_identity(serving),
            unsure=serving.served.is_unsure(float(answer.max())),
            classes=[ClassAnswer(class_name=names[place], probability=float(answer[place])) for place in order],
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
            change=change.reshape(GRID, GRID).tolist(),
        )

    return router


def _identity(serving: Serving) -> dict[str, str]:
    return {"model": serving.served.name, "version": str(serving.served.version)}
