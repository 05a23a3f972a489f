"""Runs a rank without torch that behaves or misbehaves as its arguments say.

    stub.py RANK:BEHAVIOUR …        other ranks sleep; `all:BEHAVIOUR` applies to every rank

exit=CODE          exit with this code            kill=SIGNAL        send itself a signal
say=WORDS          print words                    sleep              sleep until killed
steps              report steps until killed        step-then-hang     report five steps, then hang
rendezvous         look for the master forever    ignore-term        ignore SIGTERM
gather             wait for others forever
child              start a child that sleeps      result             leave a result and exit 0
after=SECONDS      wait this long
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase

RANK = int(os.environ["RANK"])
SCRATCH = Path(os.environ["SDBENCH_SCRATCH"])
PULSE = HeartbeatWriter(SCRATCH / "beats", int(os.environ["LOCAL_RANK"]))


def sleep_for_ever() -> None:
    while True:
        time.sleep(0.05)


def beat(steps: int) -> None:
    PULSE.enter(RankPhase.TRAINING)
    for _ in range(steps):
        PULSE.step()
        time.sleep(0.01)


def result() -> None:
    document = json.loads(os.environ["SDBENCH_RUN"])
    batch = {"requestedGlobalBatchSize": 4, "globalBatchSize": 4, "perDevice": 4, "microbatches": 1}
    (SCRATCH / f"outcome-{os.environ['LOCAL_RANK']}.json").write_text(
        json.dumps({"attempt": document["attempt"], "batch": batch})
    )


def behave(behaviour: str) -> None:
    word, _, argument = behaviour.partition("=")
    if word == "exit":
        sys.exit(int(argument))
    elif word == "kill":
        os.kill(os.getpid(), signal.Signals[argument])
    elif word == "say":
        print(argument)
    elif word == "after":
        time.sleep(float(argument))
    elif word == "steps":
        beat(10**9)
    elif word == "step-then-hang":
        beat(5)
        sleep_for_ever()
    elif word == "rendezvous":
        PULSE.enter(RankPhase.RENDEZVOUS)
        sleep_for_ever()
    elif word == "gather":
        PULSE.enter(RankPhase.GATHERING)
        sleep_for_ever()
    elif word == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif word == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("child", child.pid)
    elif word == "result":
        result()
        sys.exit(0)
    else:
        sleep_for_ever()


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    print("rank", RANK, "pid", os.getpid(), flush=True)
    for argument in sys.argv[1:]:
        who, _, what = argument.partition(":")
        if who in ("all", str(RANK)):
            behave(what)
    if not any(argument.partition(":")[0] in ("all", str(RANK)) for argument in sys.argv[1:]):
        sleep_for_ever()
