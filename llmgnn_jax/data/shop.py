"""A small shop with planted tastes and Chinese texts, for docs/walkthrough.md.

Fifty users, twenty items: a1 to a5 are for those who like coffee, a6 to a10 for
runners, a11 to a15 for photographers, a16 to a20 for campers.
"""

import numpy as np

from llmgnn_jax.data.dataset import Dataset

GOODS: tuple[tuple[str, ...], ...] = (
    ("新鲜烘焙的咖啡豆", "手冲咖啡壶", "手摇咖啡磨豆机", "陶瓷咖啡杯", "咖啡滤纸"),
    ("轻便的跑步鞋", "跑步速干衣", "记录跑步心率的手环", "跑步软水壶", "跑步护膝"),
    ("入门摄影相机", "人像摄影镜头", "摄影三脚架", "防水摄影包", "摄影存储卡"),
    ("双人露营帐篷", "露营睡袋", "充电露营灯", "露营折叠椅", "便携露营炉"),
)
"""What is said of the goods of each taste: coffee, running, photography, camping."""

NUM_USERS = 50
_OWN, _OTHERS = 4, 2


def shop(*, seed: int = 0) -> Dataset:
    """Draws who bought what.

    User u(n + 1) has the taste number n % 4, and buys four of its five items and two of
    the fifteen others, at distinct times.

    Args:
        seed: Of every draw.
    """
    rng = np.random.default_rng(seed)
    texts = tuple(text for goods in GOODS for text in goods)
    taste_of_item = np.repeat(np.arange(len(GOODS)), [len(goods) for goods in GOODS])
    bought = [
        np.concatenate(
            [
                rng.choice(np.flatnonzero(own), _OWN, replace=False),
                rng.choice(np.flatnonzero(~own), _OTHERS, replace=False),
            ]
        )
        for own in (taste_of_item == user % len(GOODS) for user in range(NUM_USERS))
    ]
    users = np.repeat(np.arange(NUM_USERS), _OWN + _OTHERS)
    return Dataset(
        name="shop",
        user_ids=tuple(f"u{user + 1}" for user in range(NUM_USERS)),
        item_ids=tuple(f"a{item + 1}" for item in range(len(texts))),
        users=users,
        items=np.concatenate(bought),
        values=np.ones(len(users)),
        timestamps=1_700_000_000 + 60 * rng.permutation(len(users)),
        item_titles=tuple(f"商品a{item + 1}" for item in range(len(texts))),
        item_texts=texts,
    )
