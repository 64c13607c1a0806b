"""The queue before a network: what it puts together, what it leaves out, what it does with failures."""

import asyncio
import threading

import pytest

from saccade.deploy.server.batching import Batcher


class Worker:
    """Doubles numbers in batches, once it may; remembers the batches."""

    def __init__(self):
        self.may_work = threading.Event()
        self.batches = []

    def __call__(self, numbers):
        self.may_work.wait(10)
        self.batches.append(list(numbers))
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def ask(batcher, numbers):
    tasks = [asyncio.ensure_future(batcher(number)) for number in numbers]
    await asyncio.sleep(0.05)
    return tasks


def test_what_comes_meanwhile_makes_up_the_next_batch():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=4)
        tasks = await ask(batcher, [0])
        tasks += await ask(batcher, range(1, 8))
        worker.may_work.set()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(8)]
        assert worker.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
        assert await batcher(9) == 18
        batcher.close()

    asyncio.run(run())


def test_heavy_items_go_in_small_batches_one_alone_if_it_must():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=10, weigh=lambda number: number, max_weight=10)
        tasks = await ask(batcher, [1])
        tasks += await ask(batcher, [4, 5, 6, 40, 1, 2])
        worker.may_work.set()
        await asyncio.gather(*tasks)
        assert worker.batches == [[1], [4, 5], [6], [40], [1, 2]]
        batcher.close()

    asyncio.run(run())


def test_what_nobody_waits_for_is_not_worked_on():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=4)
        tasks = await ask(batcher, [0, 1])
        late = await ask(batcher, [2, 3])
        late[0].cancel()
        worker.may_work.set()
        assert await asyncio.gather(*tasks, late[1]) == [0, 2, 6]
        assert worker.batches == [[0, 1], [3]]
        batcher.close()

    asyncio.run(run())


def test_a_failure_is_of_its_batch_alone():
    async def run():
        worker = Worker()
        batcher = Batcher(worker, max_items=2)
        tasks = await ask(batcher, [0])
        tasks += await ask(batcher, [13, 1, 2, 3])
        worker.may_work.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [done[0], *done[3:]] == [0, 4, 6]
        assert all(isinstance(one, ValueError) for one in done[1:3])
        batcher.close()

    asyncio.run(run())


@pytest.mark.parametrize("threads", [1, 3])
def test_so_many_threads_work_at_the_same_time(threads):
    async def run():
        together = threading.Barrier(threads)

        def work(numbers):
            together.wait(10)
            return numbers

        batcher = Batcher(work, max_items=1, threads=threads)
        assert await asyncio.gather(*(batcher(number) for number in range(threads * 2))) == list(range(threads * 2))
        batcher.close()

    asyncio.run(run())
