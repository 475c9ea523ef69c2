"""The words that questions are understood by; whatever else they hold is not known."""

import re

USER = re.compile(
    r"(?:\busers?\b|用户)\s*#?\s*[\"'“]?([A-Za-z0-9_][A-Za-z0-9_.:@-]*)",
    re.IGNORECASE,
)
ITEM = re.compile(
    r"(?:\b(?:item|film|movie|product|book|song|artist|place)|物品|商品|电影)\s*#?\s*"
    r"(\w*\d[\w.:-]*)",
    re.IGNORECASE,
)

WHY = re.compile(r"\bwhy\b|\breasons?\b|\bexplain|为什么|为何|理由|原因|解释", re.I)
COUNT = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|多少|几[个部人位]", re.I)
KINDS = re.compile(
    r"\b(?:genres|kinds|types|ratings|years|tags)\b|种类|类型|评分", re.I
)
CROWD = re.compile(r"\b(?:people|persons|viewers|customers)\b|多少人|几个人", re.I)
RECOMMEND = re.compile(
    r"\brecommend\w*|\bsuggest\w*|\b(?:would|will|should|might|may|could)\b"
    r"|\bnext\b|推荐|会喜欢|应该|可能喜欢|想看|建议",
    re.I,
)
TASTE = re.compile(
    r"\blikes?\b|\bliked\b|\btastes?\b|\bprefers?\b|\bpreferences?\b|\bfavou?rites?\b"
    r"|\binterest\w*|\benjoys?\b|喜欢|口味|偏好|爱好|兴趣|爱看",
    re.I,
)
ALIKE = re.compile(
    r"\blike\b|\bsimilar\b|\balike\b|\bclose to\b|类似|相似|相近|像", re.I
)
FACTS = re.compile(
    r"\bwhat (?:is|are|kind|sort|genres?|year|tags?|do you know)\b|\btell me\b"
    r"|\babout\b|\bwhen\b|\bdescribe\b|\bfacts?\b|\bgenres?\b|\btags?\b"
    r"|\byear\b|介绍|类型|哪一?年|是什么|什么样|年份|关于",
    re.I,
)
PEOPLE = re.compile(r"\b(?:people|users?|viewers?|persons?|who)\b|用户|人|观众", re.I)
BEST = re.compile(
    r"\b(?:which|what|list|show|name|most|popular)\b|哪些|什么|热门", re.I
)

_KNOWN = """
    a about alike all am an and any are as at be been best by can close count could
    describe did do does done enjoy enjoyed enjoys ever exist explain fact facts
    favorite favorites favourite favourites few film films find for from genre genres
    get gets give gives good had has have he her here him his how i if in interested
    interests is it item items its kind kinds know let like liked likes list many may me
    might more most movie movies much my name next number of on one ones or other others
    our out people person persons pick picks please popular prefer preference
    preferences prefers product products rate rated ratings reason reasons recommend
    recommendation recommendations recommended say see seen she should show similar so
    some sort suggest suggested suggestion suggestions tag tags taste tastes tell than
    that the their them then there these they things this those to too top up us user
    users very viewers want was watch watched we were what when which who why will with
    would year you your
"""
KNOWN_WORDS = frozenset(_KNOWN.split())

_KNOWN_ZH = """
    请问 请 用户 观众 会 可能 应该 最 喜欢 喜爱 爱看 想看 哪些 哪个 哪一部 哪部 哪种
    哪一年 哪年 哪 什么样 什么 怎么样 怎样 为什么 为何 原因 理由 解释 一下 推荐 建议
    给 向 对 的 了 和 与 及 并 且 还 也 吗 呢 吧 啊 是 有 有过 看过 看 过 多少 几 个
    部 位 人 名 种 类 类型 片 电影 影片 作品 物品 商品 东西 类似 相似 相近 像 一样
    介绍 关于 年份 年 口味 偏好 爱好 兴趣 被 把 在 里 中 这 那 它 他 她 你 我 们 能
    可以 告诉 知道 热门 一共 总共 共 以及 说明 数据 其 都 说 一
"""
KNOWN_WORDS_ZH = sorted(_KNOWN_ZH.split(), key=len, reverse=True)
