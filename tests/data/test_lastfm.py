"""Last.fm of HetRec 2011: files with and without headers, tags, the real data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.sources import lastfm
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.errors import UserError

FILES = {
    "user_artists": "//userID\tartistID\tweight\n2\t51\t13883\n2\t7\t1\n3\t51\t20\n",
    "artists": "7\tSigur Rós\thttp://x\thttp://y\n51\tDuran  Duran\thttp://x\t\n"
    '60\t"Weird Al" Yankovic\thttp://x\thttp://y\n',
    "tags": "tagID\ttagValue\n1\tmetal\n2\trock français\n3\t80's\n",
    "user_taggedartists": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    "2\t51\t3\t1\t5\t2009\n2\t51\t2\t1\t4\t2009\n2\t51\t2\t1\t1\t2010\n"
    "3\t7\t1\t1\t1\t2009\n9\t51\t1\t1\t1\t2009\n3\t999\t1\t1\t1\t2009\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: str) -> Path:
        made = tmp_path / "music"
        made.mkdir(exist_ok=True)
        for name, text in {**FILES, **changed}.items():
            encoding = "latin-1" if name == "tags" else "utf-8"
            (made / f"{name}.dat").write_text(text, encoding)
        return made

    return write


def test_what_is_read(
    folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    music = catalog.load(folder())
    assert music.name == "music"
    assert music.user_ids == ("2", "3")
    assert music.item_ids == ("7", "51", "60")
    assert music.item_titles == ("Sigur Rós", "Duran Duran", '"Weird Al" Yankovic')
    assert music.item_texts[1] == "Duran Duran."
    np.testing.assert_array_equal(music.users, [0, 0, 1])
    np.testing.assert_array_equal(music.items, [1, 0, 1])
    np.testing.assert_array_equal(music.values, [13883, 1, 20])
    assert not music.timestamps.any()
    # By date, not by line; each tag once.
    assert music.interaction_texts == ("rock français, 80's", "", "")
    [record] = caplog.records
    assert record.getMessage().endswith(
        "user_taggedartists.dat: 3 of 6 tags dropped: their users have no interaction "
        "with what they tagged"
    )


def test_headers_encodings_and_the_order_of_lines_do_not_matter(
    folder: Callable[..., Path],
) -> None:
    wanted = read_lastfm(folder()).content_hash()
    headed = {
        "user_artists": FILES["user_artists"].removeprefix("//"),
        "artists": "id\tname\turl\tpictureURL\n" + FILES["artists"],
    }
    bare = {
        name: text.partition("\n")[2]
        for name, text in FILES.items()
        if name != "artists"
    }
    turned = {
        name: "".join(text.splitlines(keepends=True)[::-1])
        for name, text in bare.items()
    }
    for changed in (headed, bare, turned):
        assert read_lastfm(folder(**changed)).content_hash() == wanted
    made = folder()
    (made / "tags.dat").write_text(FILES["tags"], "utf-8")
    assert read_lastfm(made).content_hash() == wanted


def test_tags_may_be_absent(folder: Callable[..., Path]) -> None:
    made = folder()
    (made / "tags.dat").unlink()
    with pytest.raises(UserError, match=r"^tags\.dat: expected a readable file in"):
        read_lastfm(made)
    (made / "user_taggedartists.dat").unlink()
    assert read_lastfm(made).interaction_texts is None


@pytest.mark.parametrize(
    ("file", "added", "said"),
    [
        (
            "user_artists",
            "2\t8\t1\n",
            "user_artists.dat, line 5, column artistID: expected an id that "
            "artists.dat lists, got '8'; add it to artists.dat or drop the line",
        ),
        (
            "user_artists",
            "2\t7\tmany\n",
            "user_artists.dat, line 5, column weight: expected a finite number, got "
            "'many'; fill the value in or drop the line",
        ),
        (
            "user_artists",
            "2\t7\n",
            "user_artists.dat, line 5: expected 3 fields (userID, artistID, weight), "
            "got 2; fields end at '\\t'",
        ),
        (
            "artists",
            "7\tAgain\t\t\n",
            "artists.dat, line 4, column id: expected each id once, got '7'; the id "
            "stands in an earlier line too: merge the two",
        ),
        (
            "tags",
            "1\tagain\n",
            "tags.dat, line 5, column tagID: expected each id once, got '1'; the id "
            "stands in an earlier line too: merge the two",
        ),
        (
            "user_taggedartists",
            "2\t51\t4\t1\t1\t2009\n",
            "user_taggedartists.dat, line 8, column tagID: expected an id that "
            "tags.dat lists, got '4'; add it to tags.dat or drop the line",
        ),
        (
            "user_taggedartists",
            "2\t51\t1\t1\tMay\t2009\n",
            "user_taggedartists.dat, line 8, column month: expected a finite number, "
            "got 'May'; fill the value in or drop the line",
        ),
    ],
)
def test_malformed_files_are_named(
    folder: Callable[..., Path], file: str, added: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_lastfm(folder(**{file: FILES[file] + added}))
    assert str(caught.value) == said


def test_an_empty_file(folder: Callable[..., Path]) -> None:
    for text, said in (("", "an empty file"), ("//userID\tartistID\tweight\n", "none")):
        with pytest.raises(UserError, match=rf"^user_artists\.dat: .* got {said}$"):
            read_lastfm(folder(user_artists=text))


def test_the_real_lastfm(
    shared_data: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = shared_data("lastfm-hetrec2011")
    music = catalog.load(folder)
    assert len(lastfm._read_words(folder)[1]) == 11_946
    assert music.relations["friends"].num_links == 12_717
    assert (music.num_users, music.num_items) == (1_892, 17_632)
    assert music.num_interactions == 92_834
    assert music.item_titles[0] == "MALICE MIZER"
    assert (music.values[0], music.item_titles[music.items[0]]) == (
        13883,
        "Duran Duran",
    )
    texts = music.interaction_texts
    assert texts is not None
    assert sum(map(bool, texts)) == 20_665
    assert any("rock français" in text for text in texts)
    assert "113121 of 186479 tags dropped" in caplog.text
    assert music.content_hash(relations=False).startswith("ba4f4caf4764804bb8efa3bf")


FRIENDS = "userID\tfriendID\n2\t3\n3\t2\n2\t9\n"


def test_friends_are_a_relation(
    folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    music = read_lastfm(folder(user_friends=FRIENDS))
    friends = music.relations["friends"]
    assert (friends.heads.tolist(), friends.tails.tolist()) == ([0], [1])
    assert not friends.directed
    assert any(
        record.getMessage().endswith(
            "1 of 3 links dropped: one of the friends played nothing"
        )
        for record in caplog.records
    )


def test_tags_as_groups_are_no_texts(folder: Callable[..., Path]) -> None:
    music = read_lastfm(folder(user_friends=FRIENDS), groups=True)
    assert music.interaction_texts is None
    assert music.entities["groups"] == ("80's", "rock français", "metal")
    members = music.relations["groups"]
    assert list(zip(members.heads, members.tails, strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 2),
    ]
    groups = catalog.load(folder(user_friends=FRIENDS), target="groups")
    assert groups.item_ids == ("80's", "rock français", "metal")
    assert set(groups.relations) == {"interactions", "friends"}


def test_real_friends_and_groups(shared_data: Callable[[str], Path]) -> None:
    lastfm_folder = shared_data("lastfm-hetrec2011")
    friends = catalog.load(lastfm_folder, target="friends")
    assert friends.num_users == 1_892
    assert friends.num_interactions == 25_434
    assert friends.relations["interactions"].num_links == 92_834
    groups = catalog.load(lastfm_folder, target="groups")
    assert groups.num_interactions > 20_000
