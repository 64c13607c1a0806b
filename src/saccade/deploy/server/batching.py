"""Dynamic batching: items that arrive while a batch is processed form the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batcher(Generic[_Item, _Result]):
    """Dynamic batching of single items, for one event loop; threads process the batches.

    An item that waits alone is processed at once. Larger batches form by themselves while all threads are busy. An
    item whose request was canceled, by a timeout for example, is not processed.

    Args:
        process: function from a batch of items to a list of results in the same order; called in a thread. An exception
            is an error of every item of the batch.
        max_items: most items in a batch.
        threads: number of batches that are processed at the same time.
        weigh: function from an item to its weight; default: weight 0.
        max_weight: largest total weight of a batch of several items.
    """

    def __init__(
        self,
        process: Callable[[Sequence[_Item]], Sequence[_Result]],
        *,
        max_items: int,
        threads: int = 1,
        weigh: Callable[[_Item], int] = lambda _: 0,
        max_weight: int = 0,
    ) -> None:
        self._process, self._max_items, self._weigh, self._max_weight = process, max_items, weigh, max_weight
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._threads = ThreadPoolExecutor(threads)
        self._idle = threads
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: _Item) -> _Result:
        """Return the result of an item.

        Raises:
            Exception: `process` raised this exception for the batch of the item.
        """
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._process_waiting())
            self._tasks.add(task)  # the event loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)
        return await future

    def close(self) -> None:
        """Release the threads after their current batches."""
        self._threads.shutdown(wait=False)

    async def _process_waiting(self) -> None:
        """Process batches in one thread until no item waits."""
        try:
            # Items of the same turn of the event loop, such as the images of one request, go into one batch.
            await asyncio.sleep(0)
            while batch := self._next_batch():
                await self._process_batch(batch)
        finally:
            self._idle += 1

    def _next_batch(self) -> list[tuple[_Item, asyncio.Future[_Result]]]:
        batch: list[tuple[_Item, asyncio.Future[_Result]]] = []
        weight = 0
        while self._waiting and len(batch) < self._max_items:
            item, future = self._waiting[0]
            if not future.done():  # a done future was canceled
                weight += self._weigh(item)
                if batch and weight > self._max_weight:
                    break
                batch.append((item, future))
            self._waiting.popleft()
        return batch

    async def _process_batch(self, batch: Sequence[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._threads, self._process, [item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
