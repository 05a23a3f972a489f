"""Tests that training from precomputed latents equals training from the same photographs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sdbench_trainer.config import Encoding, FrozenPrecision, Model
from sdbench_trainer.distributed import RankPlace
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.model.noise import draws
from sdbench_trainer.model.stable_diffusion import Batch
from sdbench_trainer.report import ExitCode
from sdbench_trainer.run import RunConfig
from sdbench_trainer.shards.building import BuildRequest, build_shards
from sdbench_trainer.shards.encoders import Latents
from sdbench_trainer.train import build_parts, images
from trainer.launching import launched, run_config

BATCHES = 20
SIDE = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def latents(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs of the fixture `shards`, stored as latents."""
    out = tmp_path_factory.mktemp("latents") / "shards"
    build_shards(BuildRequest(str(pictures), out, encoder=Latents(SIDE, Model.TINY, 17, FrozenPrecision.FP32)))
    return out


def config(folder: Path | None, encoding: Encoding, **knobs: Any) -> dict[str, Any]:
    batch = {"globalBatchSize": 8, "deviceMicrobatchSize": 8, "loader": {"canonicalNodes": 1}}
    trainer = {"encoding": encoding.value, **batch, **knobs}
    return run_config(1, trainer, source={} if folder is None else {"local": str(folder)})


@dataclass(frozen=True)
class ModelOutputs:
    """The outputs of an untrained model for some batches."""

    losses: list[float]
    draws: list[list[int]]
    latents: Tensor


def model_outputs(folder: Path | None, encoding: Encoding, scratch: Path) -> ModelOutputs:
    parts = build_parts(RunConfig.model_validate(config(folder, encoding)), RankPlace(scratch=scratch), CPU)
    model: Any = parts.model
    noisy: list[Tensor] = []
    model.unet.register_forward_pre_hook(lambda _, arguments: noisy.append(arguments[0]))
    batches: list[Batch] = list(islice(epochs(parts.loader), BATCHES))
    with torch.no_grad():
        losses = [float(model.loss(model(batch), batch)) for batch in batches]
    latents = [clean(one, batch, model.frozen_parts.alphas) for one, batch in zip(noisy, batches, strict=True)]
    return ModelOutputs(losses, [batch["draw"].tolist() for batch in batches], torch.cat(latents))


def epochs(loader: Any) -> Iterator[Batch]:
    while True:
        for batch in loader:
            yield {name: value for name, value in batch.items() if isinstance(value, Tensor)}


def clean(noisy: Tensor, batch: Batch, alphas: Tensor) -> Tensor:
    """The scaled latents, recovered by removing the noise from the UNet's input."""
    drawn = draws(batch["draw"].tolist(), tuple(noisy.shape[1:]), CPU)  # type: ignore[arg-type]
    signal = alphas[drawn.timesteps].view(-1, 1, 1, 1)
    scaled: Tensor = (noisy - (1 - signal).sqrt() * drawn.noise) / signal.sqrt()
    return scaled


def test_losses_and_scaled_latents_equal_those_of_online_encoding(
    shards: Path, latents: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    online = model_outputs(shards, Encoding.ONLINE, scratch)
    precomputed = model_outputs(latents, Encoding.PRECOMPUTED, scratch)
    assert precomputed.draws == online.draws
    assert len(set(map(tuple, online.draws))) == BATCHES
    assert precomputed.losses == pytest.approx(online.losses, rel=1e-5)
    deviation = float(online.latents.std())
    assert float(precomputed.latents.std()) == pytest.approx(deviation, rel=1e-3)
    assert 0.05 < deviation < 5
    assert (precomputed.latents - online.latents).abs().max() < 0.01


def test_synthetic_latents_have_the_loss_of_an_untrained_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    synthetic = model_outputs(None, Encoding.PRECOMPUTED, tmp_path_factory.mktemp("scratch"))
    assert synthetic.losses == pytest.approx([1.0] * BATCHES, abs=0.5)


def test_a_run_trains_from_latents(latents: Path) -> None:
    ended = launched(config(latents, Encoding.PRECOMPUTED))
    assert ended.code == ExitCode.OK, ended.output
    assert ended.report is not None
    assert ended.report.measurement is not None
    assert 0 < ended.report.measurement.loss < 10


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"imageSize": 128}, "have imageSize 64, but the run has 128"),
        ({"model": "sd2-base"}, "come from model tiny, but the run trains sd2-base"),
        ({"seed": 3}, "come from weights of seed 17, but the run has seed 3"),
        ({"encoding": Encoding.ONLINE}, "they hold latents, not photographs; set encoding: precomputed"),
    ],
)
def test_latents_that_do_not_match_the_run_are_refused(
    latents: Path, knobs: dict[str, Any], words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = RunConfig.model_validate(config(latents, **{"encoding": Encoding.PRECOMPUTED, **knobs}))
    with pytest.raises(ConfigInvalid, match=words):
        images(run, RankPlace(scratch=tmp_path_factory.mktemp("scratch")))
