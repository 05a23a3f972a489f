"""Tests that forward passes are timed by the device's own marks, and that marks do not accumulate."""

from dataclasses import dataclass

from sdbench_trainer.measure.forward_timer import ForwardClock, Mark


@dataclass
class Queue:
    """A device that executes queued work later; times in milliseconds."""

    given: float = 0.0
    done: float = 0.0

    def mark(self) -> Mark:
        return Place(self, self.given)


@dataclass(frozen=True)
class Place:
    """A mark in the queue."""

    queue: Queue
    at: float

    def query(self) -> bool:
        return self.queue.done >= self.at

    def elapsed_time(self, end_event: "Place") -> float:
        assert self.query()
        assert end_event.query(), "called before the device reached the mark"
        return end_event.at - self.at


def test_forward_passes_are_added_up_once_the_device_has_completed_them() -> None:
    queue = Queue()
    clock = ForwardClock(queue.mark)
    for _ in range(1000):
        clock.begin()
        queue.given += 250.0
        clock.end()
        queue.given += 500.0
        queue.done = queue.given - 600.0
        clock.settle()
        assert len(clock._open) <= 1
    queue.done = queue.given
    assert clock.seconds() == 250.0
    clock.reset()
    assert clock.seconds() == 0.0


def test_without_marks_the_clock_of_the_host_is_used() -> None:
    times = iter([1.0, 1.25, 7.0, 7.5])
    clock = ForwardClock(None, lambda: next(times))
    for _ in range(2):
        clock.begin()
        clock.end()
        clock.settle()
    assert clock.seconds() == 0.75
