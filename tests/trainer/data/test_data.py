"""Tests the loaders' batches and the errors for missing data, with real photographs and a real S3 server."""

import shutil
import socket
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from harness.addons.s3 import S3
from sdbench_trainer.config import Encoding, Loader, TrainerConfig
from sdbench_trainer.data import mds
from sdbench_trainer.data.crop import crop_square
from sdbench_trainer.data.mds import LATENTS_AHEAD, Share, canonical_nodes, samples_ahead, shard_loader
from sdbench_trainer.data.remote import require_index, require_scheme
from sdbench_trainer.data.synthetic import POOL, SyntheticImages
from sdbench_trainer.data.timed_loader import TimedLoader
from sdbench_trainer.data.tokenizer import clip_tokenizer
from sdbench_trainer.errors import ConfigInvalid, DataMissing
from sdbench_trainer.model.stable_diffusion import Batch
from sdbench_trainer.run import DataSource
from sdbench_trainer.shards.building import BuildRequest, build_shards
from sdbench_trainer.shards.checking import check
from sdbench_trainer.shards.encoders import Jpegs


def share(rank: int = 0, world: int = 1, per_device: int = 4) -> Share:
    return Share(image_size=64, per_device=per_device, rank=rank, world=world, seed=7)


def config(**knobs: object) -> TrainerConfig:
    return TrainerConfig.model_validate({"model": "tiny", "imageSize": 64, "precision": "fp32", "seed": 7, **knobs})


def test_a_batch_of_photographs_is_uint8_with_tokens_and_draws(
    shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    loader = shard_loader(DataSource(local=str(shards)), share(), config(), clip_tokenizer(), nodes=1, cache=cache)
    first, second = islice(iter(loader), 2)
    assert (first["image"].dtype, tuple(first["image"].shape)) == (torch.uint8, (4, 64, 64, 3))
    assert (first["tokens"].dtype, tuple(first["tokens"].shape)) == (torch.int64, (4, 77))
    assert len({*first["draw"].tolist(), *second["draw"].tolist()}) == 8
    assert first["image"].float().std() > 10


def test_shards_with_fewer_images_than_a_global_batch_are_refused_with_both_numbers(
    shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    with pytest.raises(DataMissing, match=r"hold \d+ samples, fewer than one global batch of 4096"):
        shard_loader(
            DataSource(local=str(shards)), share(per_device=4096), config(), clip_tokenizer(), nodes=1, cache=cache
        )


def test_shards_with_fewer_images_than_canonical_nodes_are_refused(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("few")
    for name in sorted(path for path in pictures.iterdir() if path.suffix == ".jpg")[:10]:
        shutil.copy(name, folder)
        shutil.copy(name.with_suffix(".txt"), folder)
    build_shards(BuildRequest(str(folder), folder / "shards"))
    with pytest.raises(DataMissing, match=r"hold 10 samples, but loader.canonicalNodes needs at least 64"):
        shard_loader(
            DataSource(local=str(folder / "shards")),
            share(),
            config(),
            clip_tokenizer(),
            nodes=1,
            cache=folder / "cache",
        )


def test_the_error_for_a_folder_without_shards_names_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataMissing, match=f"No shards at {folder}"):
        shard_loader(DataSource(local=str(folder)), share(), config(), clip_tokenizer(), nodes=1, cache=folder)


def test_a_crop_keeps_the_aspect_ratio_and_drops_the_edges() -> None:
    image = torch.zeros(3, 100, 300, dtype=torch.uint8)
    image[:, :, 100:200] = 200
    cropped = crop_square(image, 64)
    assert tuple(cropped.shape) == (64, 64, 3)
    assert cropped.is_contiguous()
    assert bool((cropped == 200).all())


def test_downscaling_is_antialiased_like_that_of_pillow(pictures: Path) -> None:
    with Image.open(next(iter(sorted(pictures.glob("chelsea*.jpg"))))) as picture:
        wanted = torch.frombuffer(
            bytearray(picture.resize((64, 64), Image.Resampling.BILINEAR).tobytes()), dtype=torch.uint8
        )
        whole = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(256, 256, 3).permute(2, 0, 1)
    found = crop_square(whole, 64).flatten()
    assert (found.int() - wanted.int()).abs().max() <= 2


def batches_of(loader: SyntheticImages, steps: int) -> list[Batch]:
    return list(islice(iter(loader), steps))


def joined(batches: list[Batch], name: str) -> Tensor:
    return torch.cat([batch[name] for batch in batches])


def test_synthetic_images_are_the_same_on_any_number_of_ranks() -> None:
    tokenizer = clip_tokenizer()
    alone = batches_of(SyntheticImages(share(per_device=48), tokenizer), 3)
    ranks = [batches_of(SyntheticImages(share(rank, 2, 24), tokenizer), 3) for rank in (0, 1)]
    for step in range(3):
        for name in ("image", "tokens", "draw"):
            assert torch.equal(alone[step][name], joined([rank[step] for rank in ranks], name))
    assert len(set(joined(alone, "draw").tolist())) == 3 * 48
    assert torch.equal(
        alone[0]["image"][0], batches_of(SyntheticImages(share(per_device=POOL), tokenizer), 2)[1]["image"][0]
    )


@pytest.mark.parametrize(
    ("encoding", "loader", "ahead"),
    [
        (Encoding.ONLINE, Loader(), None),
        (Encoding.PRECOMPUTED, Loader(), LATENTS_AHEAD),
        (Encoding.PRECOMPUTED, Loader(cache_limit_gibibytes=1), None),
        (Encoding.PRECOMPUTED, Loader(predownload_samples=5), 5),
        (Encoding.ONLINE, Loader(predownload_samples=5, cache_limit_gibibytes=1), 5),
    ],
)
def test_latents_are_prepared_far_ahead_if_the_cache_has_no_limit(
    encoding: Encoding, loader: Loader, ahead: int | None
) -> None:
    assert samples_ahead(TrainerConfig(encoding=encoding, loader=loader)) == ahead


def dividing(canonical_nodes: int | None) -> TrainerConfig:
    return TrainerConfig(loader=Loader(canonical_nodes=canonical_nodes))


@pytest.mark.parametrize(("nodes", "canonical"), [(1, 64), (2, 64), (32, 64), (128, 64), (3, 3), (96, 96)])
def test_usual_node_counts_divide_the_shards_into_the_same_parts(nodes: int, canonical: int) -> None:
    assert canonical_nodes(dividing(None), nodes) == canonical


@pytest.mark.parametrize(("nodes", "canonical"), [(4, 1), (4, 2), (4, 4), (4, 12), (1, 7)])
def test_canonical_nodes_that_fit_the_pods_are_used(nodes: int, canonical: int) -> None:
    assert canonical_nodes(dividing(canonical), nodes) == canonical


def test_canonical_nodes_that_do_not_fit_the_pods_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="canonicalNodes: 6 is neither a multiple nor a divisor of the 4 pods"):
        canonical_nodes(dividing(6), 4)


def test_shards_with_images_smaller_than_image_size_are_refused(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("squares")
    build_shards(BuildRequest(str(pictures), folder / "shards", encoder=Jpegs(32)))
    with pytest.raises(ConfigInvalid, match="their images are stored with 32 pixels, but imageSize is 64"):
        shard_loader(
            DataSource(local=str(folder / "shards")),
            share(),
            config(),
            clip_tokenizer(),
            nodes=1,
            cache=folder / "cache",
        )


def test_a_timed_loader_adds_up_the_waits_for_every_batch_and_for_the_end() -> None:
    clock = iter(range(0, 1000, 10))
    batches: list[Batch] = [{}, {}]
    loader = TimedLoader(batches, clock=lambda: float(next(clock)))
    assert list(iter(loader)) == batches
    assert loader.waited == 40.0
    assert len(loader) == 2


def test_a_timed_loader_has_the_attributes_of_the_wrapped_loader() -> None:
    pool = SyntheticImages(share(), clip_tokenizer())
    loader = TimedLoader(pool)
    assert loader.batch_size == 4
    assert not hasattr(loader, "state_dict")
    with pytest.raises(TypeError):
        len(loader)


@pytest.fixture
def remote(s3: S3, shards: Path, monkeypatch: pytest.MonkeyPatch) -> DataSource:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint)
    shutil.copytree(shards, s3.folder / "data" / "photographs", dirs_exist_ok=True)
    return DataSource(remote="s3://data/photographs", endpoint=s3.endpoint, region="here")


def test_an_existing_index_is_found(remote: DataSource) -> None:
    require_index(remote)
    require_index(remote.model_copy(update={"remote": "s3://data/photographs/"}))


@pytest.mark.parametrize("place", ["s3://nowhere/photographs", "s3://data/empty", "s3://data"])
def test_the_error_for_a_missing_index_names_the_remote(remote: DataSource, place: str) -> None:
    with pytest.raises(DataMissing, match=f"^No shards at {place}: "):
        require_index(remote.model_copy(update={"remote": place}))


def test_the_knobs_of_the_loader_reach_streaming(remote: DataSource, tmp_path_factory: pytest.TempPathFactory) -> None:
    knobs = {"canonicalNodes": 2, "predownloadSamples": 12, "cacheLimitGibibytes": 1}
    loader = shard_loader(
        remote, share(), config(loader=knobs), clip_tokenizer(), nodes=1, cache=tmp_path_factory.mktemp("cache") / "c"
    )
    dataset = loader.dataset
    assert (dataset.num_canonical_nodes, dataset.predownload, dataset.cache_limit) == (2, 12, 1 << 30)


def test_the_cache_limit_does_not_apply_to_local_shards(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    knobs = config(loader={"cacheLimitGibibytes": 1})
    cache = tmp_path_factory.mktemp("cache")
    loader = shard_loader(DataSource(local=str(shards)), share(), knobs, clip_tokenizer(), nodes=1, cache=cache)
    assert loader.dataset.cache_limit is None


def test_a_cache_limit_too_small_for_the_shards_is_an_invalid_configuration(
    remote: DataSource, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(mds, "GIBIBYTE", 1 << 20)
    with pytest.raises(ConfigInvalid, match=r"^loader.cacheLimitGibibytes 1 is too small for"):
        shard_loader(
            remote,
            share(),
            config(loader={"cacheLimitGibibytes": 1}),
            clip_tokenizer(),
            nodes=1,
            cache=tmp_path_factory.mktemp("cache") / "c",
        )


@pytest.mark.parametrize(
    ("remote_place", "words"),
    [
        ("ftp://host/shards", "must begin with one of s3://, gs://, oci://, azure://, azure-dl://, hf://"),
        ("shards", "must begin with one of"),
        ("oci://bucket/shards", "needs the Python package oci, which this image lacks"),
    ],
)
def test_a_remote_of_an_unsupported_scheme_is_refused(remote_place: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        require_index(DataSource(remote=remote_place))


@pytest.mark.parametrize("scheme", ["s3", "gs", "azure", "azure-dl", "hf"])
def test_remotes_whose_packages_are_installed_are_accepted(scheme: str) -> None:
    require_scheme(f"{scheme}://bucket/shards")


def test_checking_a_remote_gives_the_same_result_as_checking_its_folder(remote: DataSource, shards: Path) -> None:
    assert remote.remote is not None
    assert check(remote.remote) == check(str(shards))


def test_the_error_for_wrong_credentials_says_so(remote: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(DataMissing, match="check the credentials"):
        require_index(remote)


def test_the_error_for_an_unreachable_server_names_it(remote: DataSource) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DataMissing, match=endpoint):
            require_index(remote.model_copy(update={"endpoint": endpoint}))
