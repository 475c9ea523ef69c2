"""The files of small valid folders, one in each format that is read, for `formats`."""

import json

from llmgnn_jax.data.sources.amazon_splits import PARTS


def text_of(*rows: str, encoding: str = "utf-8") -> bytes:
    """Lines as a file has them."""
    return "".join(f"{row}\n" for row in rows).encode(encoding)


def json_of(*records: dict[str, object]) -> bytes:
    """An object a line."""
    return text_of(*map(json.dumps, records))


_FILMS = ("Toy Story (1995)", "Misérables, Les (1995)", "unknown", "Two Friends (1986)")

MOVIELENS_100K = {
    "u.genre": text_of("unknown|0", "Action|1", "Sci-Fi|2", ""),
    "u.item": text_of(
        *(
            f"{number}|{title}|01-Jan-1995||http://x|0|{number % 2}|1"
            for number, title in enumerate(_FILMS, start=1)
        ),
        encoding="latin-1",
    ),
    "u.user": text_of("10|24|M|technician|85711", "11|53|F|other|V1G4L"),
    "u.data": text_of(
        "10\t1\t5\t874965758",
        "11\t2\t3\t881250949",
        "10\t4\t1\t875000000",
        "11\t3\t2\t875000000",
        "11\t3\t4\t875000001",
    ),
}
MOVIELENS_CSV = {
    "movies.csv": text_of(
        "movieId,title,genres",
        "1,Toy Story (1995),Adventure|Children",
        '4,"Misérables, Les (1995)",Drama',
        "7,Cats (1998),(no genres listed)",
    ),
    "ratings.csv": text_of(
        "userId,movieId,rating,timestamp",
        "10,4,3.5,881250949",
        "11,1,5.0,874965758",
        "10,1,0.5,881250950",
        "12,7,4.0,0",
    ),
    "tags.csv": text_of(
        "userId,movieId,tag,timestamp",
        "10,4,prison break,300",
        '10,4,"long, sad",100',
        "12,1,never rated,100",
    ),
}
LASTFM = {
    "user_artists.dat": text_of(
        "userID\tartistID\tweight", "2\t51\t13883", "2\t7\t1", "3\t51\t20"
    ),
    "artists.dat": text_of(
        "id\tname\turl\tpictureURL",
        "7\tSigur Rós\thttp://x\thttp://y",
        "51\tDuran  Duran\thttp://x\t",
    ),
    "user_taggedartists.dat": text_of(
        "userID\tartistID\ttagID\tday\tmonth\tyear",
        "2\t51\t3\t1\t5\t2009",
        "3\t7\t1\t1\t1\t2009",
    ),
    "tags.dat": text_of(
        "tagID\ttagValue", "1\tmetal", "3\trock français", encoding="latin-1"
    ),
}
LIGHTGCN = {
    "train.txt": b"7 10 30\n2 20\n11\n",
    "test.txt": b"2 10\n7 40 20\n11 30\n",
}
REVIEWS = json_of(
    *(
        {
            "overall": stars,
            "reviewerID": user,
            "asin": item,
            "unixReviewTime": 1529193600 + stars,
            "summary": "Five &amp; more",
            "reviewText": text,
        }
        for user, item, stars, text in (
            ("A", "X", 5, "Good, fast"),
            ("B", "X", 4, None),
            ("A", "Y", 1, "Broke<br />at once"),
        )
    )
)
META = json_of(
    {
        "asin": "X",
        "title": "Gift",
        "category": ["Cards", "Food"],
        "brand": "M",
        "description": ["<p>Not valid</p>", ""],
        "price": "$1,025.50",
    },
    {"asin": "X", "title": "A second line", "price": "$1.00"},
    {"asin": "W", "title": "Nobody's review is of this"},
)
RECBOLE = {
    "films.inter": text_of(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\treview:token_seq",
        "10\t1\t5\t874965758\tso good",
        "11\t2\t3\t881250949\t",
        "10\t4\t1\t875000000\tbad",
    ),
    "films.item": text_of(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
        "\tprice:float",
        "1\tToy Story\t1995\tAnimation Comedy\t1.5",
        "2\tMisérables, Les\t1995\t\t",
    ),
    "films.user": text_of(
        "user_id:token\tage:token\tgender:token\tabout:token_seq",
        "10\t24\tM\tlikes films",
        "11\t53\tF\t",
    ),
}
TRIPLES = {
    "films.link": text_of("item_id:token\tentity_id:token", "1\tm.1", "4\tm.4"),
    "films.kg": text_of(
        "head_id:token\trelation_id:token\ttail_id:token",
        "m.1\tactor\tm.a",
        "m.4\tactor\tm.a",
        "m.1\tsequel\tm.4",
        "m.x\tsequel\tm.1",
    ),
}


MOVIELENS_DAT = {
    "movies.dat": text_of(
        "1::Toy Story (1995)::Animation|Children's|Comedy",
        "73::Misérables, Les (1995)::Drama|Musical",
        "900::Star Wars: Episode IV - A New Hope (1977)::(no genres listed)",
        encoding="latin-1",
    ),
    "ratings.dat": text_of(
        "1::73::5::978300760", "2::1::3.5::978302109", "1::1::1::978301968"
    ),
    "users.dat": text_of("1::F::1::10::48067", "2::M::56::16::70072"),
    "tags.dat": text_of(
        "1::73::long::978300800", "1::73::sad::978300700", "2::73::unseen::1"
    ),
}
AMAZON_2023 = {
    "Beauty.jsonl": json_of(
        *(
            {
                "rating": stars,
                "title": "Five &amp; more",
                "text": text,
                "parent_asin": item,
                "user_id": user,
                "timestamp": 1588687728923 + int(stars),
            }
            for user, item, stars, text in (
                ("A", "X", 5.0, "Good, fast"),
                ("B", "X", 4.0, None),
                ("A", "Y", 1.0, "Broke<br />at once"),
            )
        )
    ),
    "meta_Beauty.jsonl": json_of(
        {
            "main_category": "All Beauty",
            "title": "Conditioner",
            "features": ["Shines", "Lasts long."],
            "description": ["<p>For wood.</p>", ""],
            "price": 12.5,
            "store": "Howard",
            "categories": ["Home", "Care"],
            "parent_asin": "X",
        },
        {"parent_asin": "X", "title": "A second line", "price": "from 14.99"},
        {"parent_asin": "W", "title": "Nobody's review is of this"},
    ),
}
AMAZON_SPLITS = {
    f"Beauty.{part}.csv": text_of("user_id,parent_asin,rating,timestamp,history", *rows)
    for part, rows in zip(
        PARTS,
        (
            ("A,X,5.0,1588615855070,", "B,Y,4.0,1588615855071,"),
            ("A,Y,3.0,1588615856070,X",),
            ("A,Z,2.0,1588615857071,X Y", "B,X,1.0,1588615857071,Y"),
        ),
        strict=True,
    )
}
CANE = {
    "data.txt": text_of("graphs of papers", "genes of flies", "texts of 四 things"),
    "group.txt": text_of("2", "", "5"),
    "graph.txt": text_of("0 1", "1\t2", "2 1", "0 0"),
}
ORDERS = (
    ("buyer", "sku", "stars", "ordered_at", "review"),
    ("ann", "1", "5", "2020-01-01", "So good"),
    ("bob", "2", "1.5", "2020-01-02", ""),
    ("ann", "9", "3", "2020-01-03", "bad; 四"),
    ("cat", "1", "4", "2020-01-04", "fine"),
)
ROLES = ("user=buyer", "item=sku", "value=stars", "time=ordered_at", "text=review")
MAPPING = text_of(
    "[interactions]",
    'file = "orders.tsv"',
    'user = "buyer"',
    'item = "sku"',
    'value = "stars"',
    'time = "ordered_at"',
    'text = ["review"]',
    "[items]",
    'file = "catalogue.csv"',
    'id = "sku"',
    'title = "name"',
    'text = ["name", "about"]',
    'categorical = ["brand"]',
    'numeric = ["price"]',
    "[users]",
    'file = "people.jsonl"',
    'id = "buyer"',
    'text = "about"',
    'categorical = ["countries"]',
    "[entities.brand]",
    'file = "catalogue.csv"',
    'id = "sku"',
    "[relations.together]",
    'file = "together.csv"',
    'head = "sku"',
    'tail = "other"',
    'heads_of = "item"',
    'tails_of = "item"',
    'weight = "times"',
)
SHOP = {
    "shop.toml": MAPPING,
    "orders.tsv": text_of(*map("\t".join, ORDERS)),
    "catalogue.csv": text_of(
        "sku,name,about,brand,price",
        "1,Lamp,Bright,Acme|Oak,9.5",
        '2,"Chair, green",,Oak,',
        "3,Table,Of oak.,Oak,80",
    ),
    "people.jsonl": json_of(
        {"buyer": "ann", "about": "Reads.", "countries": ["DE", "FR"]},
        {"buyer": "bob", "countries": "US"},
    ),
    "together.csv": text_of("sku,other,times", "1,2,3", "2,1,7", "1,1,2", "1,77,1"),
}
