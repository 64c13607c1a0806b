"""The ASGI application of the page of `saccade label`: its files, questions, answers, groups, decisions and images."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.types import ASGIApp

from saccade.labeling.page.desk import Desk
from saccade.labeling.page.original_images import OriginalImages
from saccade.labeling.session import WITHOUT_LABEL, AnsweredError
from saccade.web.http_errors import RequestError, add_error_handlers
from saccade.web.limits import Limits
from saccade.web.middleware import Guard, RequestPolicy, ServerState
from saccade.web.request_body import read_body
from saccade.web.static_files import static_routes

STATIC_FOLDER = Path(__file__).parent / "static"
STATIC_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/api.js": ("api.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/single.js": ("single.js", "text/javascript"),
    "/groups.js": ("groups.js", "text/javascript"),
    "/decisions.js": ("decisions.js", "text/javascript"),
}
"""Files of the page: path -> name of the file in `static/`, media type."""

_REASONS = {"string_too_long": "at most 100 characters", "string_too_short": "at least one character"}
_MAX_NUMBER = 2**53
_MAX_IMAGES = 2000

_Result = TypeVar("_Result")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the text has characters that can't be shown")
    return text


_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_printable)
]
_Number = Annotated[int, Field(ge=0, lt=_MAX_NUMBER)]
_Position = Annotated[int, PathParameter(ge=0, lt=_MAX_NUMBER)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    client: _Text
    person: _Text


class Next(_Message):
    """Request of the next questions."""

    count: int = Field(ge=1, le=10)
    skipped: list[_Number] = Field(default=[], max_length=1000)


class GivenAnswer(_Message):
    """An answer; `replaces` is the number of the answer that the person saw."""

    question: _Number
    label: _Text | None
    replaces: _Number | None = None


class NewClass(_Message):
    """A new class."""

    name: _Text
    begins_attempt: bool = False
    question: _Number | None = None


class ClassName(_Message):
    """Name of a class to remove."""

    name: _Text


class GroupLabel(_Message):
    """Label of images of a group; None withdraws it."""

    images: list[_Number] = Field(min_length=1, max_length=_MAX_IMAGES)
    label: _Text | None


_MessageType = TypeVar("_MessageType", bound=_Message)


def make_app(desk: Desk, images: OriginalImages, state: ServerState, *, host: str, token: str) -> ASGIApp:
    """Return the application behind its guard.

    Args:
        desk: questions and answers.
        images: images of the heap.
        state: state of the server.
        host: name of the server.
        token: bearer token that requests must carry.
    """
    app = FastAPI(title="Saccade: labeling", docs_url=None, redoc_url=None, openapi_url=None)
    at_desk = ThreadPoolExecutor(1)

    async def run(function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(at_desk, function)

    for routes in (_questions, _classes, _decisions, _groups):
        app.include_router(routes(desk, run))
    app.include_router(_images(images))
    app.include_router(static_routes(STATIC_FOLDER, STATIC_FILES))
    add_error_handlers(app)
    policy = RequestPolicy({"localhost", host}, token, public_paths=tuple(STATIC_FILES))
    return Guard(app, Limits(body_bytes=100_000), None, state, policy)


async def _read(request: Request, kind: type[_MessageType]) -> _MessageType:
    try:
        return kind.model_validate_json(await read_body(request))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = _REASONS.get(first["type"], first["msg"]).removeprefix("Value error, ")
        raise RequestError(400, f"{place}: {reason}" if place else reason) from None


def _questions(desk: Desk, run: Any) -> APIRouter:
    router = APIRouter()

    @router.get("/api/state")
    async def state() -> dict[str, Any]:
        return await run(desk.state)  # type: ignore[no-any-return]

    @router.post("/api/next")
    async def next_questions(request: Request) -> dict[str, Any]:
        message = await _read(request, Next)

        def take() -> dict[str, Any]:
            taken = desk.next_questions(message.client, message.person, message.count, message.skipped)
            return {"questions": taken, "state": desk.state()}

        return await run(take)  # type: ignore[no-any-return]

    @router.post("/api/release")
    async def release(request: Request) -> dict[str, Any]:
        message = await _read(request, _Message)
        await run(lambda: desk.release(message.client))
        return {}

    @router.post("/api/answers")
    async def answer(request: Request) -> dict[str, Any]:
        message = await _read(request, GivenAnswer)
        try:
            number = await run(
                lambda: desk.answer(
                    message.question,
                    message.label,
                    client=message.client,
                    person=message.person,
                    replaces=message.replaces,
                )
            )
        except AnsweredError as error:
            raise _conflict(error) from None
        except KeyError:
            raise RequestError(400, "there is no such class") from None
        return {"answer": number}

    return router


def _conflict(error: AnsweredError) -> RequestError:
    found = error.answer
    closed = "this answer was not recorded: the image is not asked any more, and has its label"
    return RequestError(409, closed if found is None else f"{found.who} answered meanwhile: {found.label}")


def _classes(desk: Desk, run: Any) -> APIRouter:
    router = APIRouter()

    @router.post("/api/classes/remove")
    async def remove_class(request: Request) -> dict[str, Any]:
        message = await _read(request, ClassName)
        if not await run(lambda: desk.remove_class(message.name)):
            raise RequestError(409, "the class is in use, or is gone")
        return {"name": message.name}

    @router.post("/api/classes")
    async def add_class(request: Request) -> dict[str, Any]:
        message = await _read(request, NewClass)
        if message.name in WITHOUT_LABEL:
            raise RequestError(400, f"{message.name} is no name of a class")
        try:
            added = await run(
                lambda: desk.add_class(
                    message.name,
                    begins_attempt=message.begins_attempt,
                    client=message.client,
                    person=message.person,
                    question=message.question,
                )
            )
        except AnsweredError as error:
            raise _conflict(error) from None
        if not added:
            raise RequestError(409, "the labels are frozen: a new class begins another attempt with a fresh sample")
        return {"name": message.name, "classes": await run(desk.class_names)}

    return router


def _decisions(desk: Desk, run: Any) -> APIRouter:
    router = APIRouter()

    @router.get("/api/decisions")
    async def decisions(
        search: Annotated[str, Query(max_length=100)] = "", offset: Annotated[int, Query(ge=0, lt=_MAX_NUMBER)] = 0
    ) -> dict[str, Any]:
        return await run(lambda: desk.decisions(search, offset))  # type: ignore[no-any-return]

    return router


def _groups(desk: Desk, run: Any) -> APIRouter:
    router = APIRouter()

    @router.post("/api/groups/next")
    async def next_group(request: Request) -> dict[str, Any]:
        message = await _read(request, _Message)
        return {"group": await run(lambda: desk.next_group(message.client))}

    @router.post("/api/groups/skip")
    async def skip_group(request: Request) -> dict[str, Any]:
        message = await _read(request, _Message)
        await run(lambda: desk.skip_group(message.client))
        return {"group": await run(lambda: desk.next_group(message.client))}

    @router.post("/api/groups/label")
    async def label_group(request: Request) -> dict[str, Any]:
        message = await _read(request, GroupLabel)
        try:
            count = await run(
                lambda: desk.label_group(message.images, message.label, client=message.client, person=message.person)
            )
        except KeyError:
            raise RequestError(400, "there is no such class") from None
        except ValueError:
            raise RequestError(409, "the labels are frozen, or an image is not in the heap") from None
        return {"labeled": count}

    return router


def _images(images: OriginalImages) -> APIRouter:
    router = APIRouter()

    def respond(encode: Callable[[int], bytes], position: int) -> Response:
        try:
            return Response(encode(position), media_type="image/jpeg")
        except IndexError:
            raise RequestError(404, "there is no such image") from None

    # Not async, so that FastAPI runs them in threads.
    @router.get("/images/{position}")
    def image(position: _Position) -> Response:
        return respond(images.encoded, position)

    @router.get("/thumbnails/{position}")
    def thumbnail(position: _Position) -> Response:
        return respond(images.thumbnail, position)

    return router
