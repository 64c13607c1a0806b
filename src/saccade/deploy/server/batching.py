"""A queue before work that is cheaper in batches: whatever comes while one batch is worked on makes up the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batcher(Generic[_Item, _Result]):
    """Gathers single items into batches. Used from one event loop; the work itself is done in threads.

    An item that waits alone is worked on at once: nothing is gained by waiting for others, who gather by themselves
    while the threads are busy. What nobody waits for any more, because its time ran out, is not worked on.

    Args:
        work: from a batch of items to as many answers, in their order; called in a thread. Raises only if the whole
            batch is lost.
        most: items in a batch.
        threads: that work at the same time.
        weigh: what an item weighs; nothing if it is not given.
        most_weight: of a batch of several items.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Item]], Sequence[_Result]],
        *,
        most: int,
        threads: int = 1,
        weigh: Callable[[_Item], int] = lambda _: 0,
        most_weight: int = 0,
    ) -> None:
        self._work, self._most, self._weigh, self._most_weight = work, most, weigh, most_weight
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._threads = ThreadPoolExecutor(threads)
        self._idle = threads
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: _Item) -> _Result:
        """The answer to an item.

        Raises:
            Exception: what the work raised for the batch that it was in.
        """
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._work_off())
            self._tasks.add(task)  # the event loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)
        return await future

    def close(self) -> None:
        """Lets the threads go, once they have done what they are doing."""
        self._threads.shutdown(wait=False)

    async def _work_off(self) -> None:
        """Works on batches in one thread until nothing waits."""
        try:
            # Those who ask in the same turn of the event loop, as for the images of one request, go together.
            await asyncio.sleep(0)
            while batch := self._next_batch():
                await self._process(batch)
        finally:
            self._idle += 1

    def _next_batch(self) -> list[tuple[_Item, asyncio.Future[_Result]]]:
        batch: list[tuple[_Item, asyncio.Future[_Result]]] = []
        weight = 0
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting[0]
            if not future.done():  # else it was cancelled
                weight += self._weigh(item)
                if batch and weight > self._most_weight:
                    break
                batch.append((item, future))
            self._waiting.popleft()
        return batch

    async def _process(self, batch: Sequence[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._threads, self._work, [item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
