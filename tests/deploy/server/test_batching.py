"""Dynamic batching: batches, canceled items and errors."""

import asyncio
import threading

import pytest

from saccade.deploy.server.batching import Batcher


class Worker:
    """A function that doubles numbers in batches once it is released, and records the batches."""

    def __init__(self):
        self.released = threading.Event()
        self.batches = []

    def __call__(self, numbers):
        self.released.wait(10)
        self.batches.append(list(numbers))
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def submit(batcher, numbers):
    tasks = [asyncio.ensure_future(batcher(number)) for number in numbers]
    await asyncio.sleep(0.05)
    return tasks


def test_items_that_arrive_during_a_batch_form_the_next_batch():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=4)
        tasks = await submit(batcher, [0])
        tasks += await submit(batcher, range(1, 8))
        worker.released.set()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(8)]
        assert worker.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
        assert await batcher(9) == 18
        batcher.close()

    asyncio.run(run())


def test_heavy_items_form_small_batches():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=10, weigh=lambda number: number, max_weight=10)
        tasks = await submit(batcher, [1])
        tasks += await submit(batcher, [4, 5, 6, 40, 1, 2])
        worker.released.set()
        await asyncio.gather(*tasks)
        assert worker.batches == [[1], [4, 5], [6], [40], [1, 2]]
        batcher.close()

    asyncio.run(run())


def test_a_canceled_item_is_not_processed():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=4)
        tasks = await submit(batcher, [0, 1])
        late = await submit(batcher, [2, 3])
        late[0].cancel()
        worker.released.set()
        assert await asyncio.gather(*tasks, late[1]) == [0, 2, 6]
        assert worker.batches == [[0, 1], [3]]
        batcher.close()

    asyncio.run(run())


def test_an_error_affects_its_own_batch_only():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=2)
        tasks = await submit(batcher, [0])
        tasks += await submit(batcher, [13, 1, 2, 3])
        worker.released.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [done[0], *done[3:]] == [0, 4, 6]
        assert all(isinstance(one, ValueError) for one in done[1:3])
        batcher.close()

    asyncio.run(run())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_process_batches_in_parallel(threads):
    async def run():
        together = threading.Barrier(threads)

        def work(numbers):
            together.wait(10)
            return numbers

        batcher = Batcher(work, max_items=1, threads=threads)
        assert await asyncio.gather(*(batcher(number) for number in range(threads * 2))) == list(range(threads * 2))
        batcher.close()

    asyncio.run(run())
