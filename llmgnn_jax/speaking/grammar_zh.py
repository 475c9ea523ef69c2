"""The forms of Chinese questions; `forms` says how they are written."""

from llmgnn_jax.speaking.forms import Forms

_PARTS = {
    "NOUN": "电影|影片|片子|片|作品|物品|商品|东西",
    "OR": "和|与|或者|或|还是|以及|又是|且",
    "VALUES": "VALUE [的] [NOUN] [[OR] VALUE [的] [NOUN] [[OR] VALUE [的] [NOUN]]]",
    "WHEN": "YEAR [年] [以前|之前|以后|之后|前|后|起|(到|至) YEAR [年]] [上映] [的]"
    "|DECADE [年代] [的]",
    "THINGS": "[WHEN] (VALUES|NOUN) | WHEN NOUN",
    "ITEMS": "ITEM [[和|与|、] ITEM [[和|与|、] ITEM]]",
    "WHAT": "什么样的|怎样的|什么|哪些|哪几部|哪一部|哪部|哪个|哪种|哪类",
    "SOME": "[一下] [一些|几部|一部|几个|一个|些|SO] [好的]",
    "SO": "NUMBER [部|个]",
    "FOR": "给|向|为|帮",
    "WITH": "和|与|跟|同|像",
    "LIKE": "喜欢|喜爱|爱看|想看|看|想要",
    "WOULD": "可能会|应该会|会不会|会想|可能|应该|大概|也许|会|想",
    "ALIKE": "[最|比较|很] (类似|相似|相近|接近|像|一样)",
    "COUNT": "多少|几",
    "UNIT": "部|个|位|名|种",
    "PEOPLE": "用户|观众|人",
    "TASTE": "口味|偏好|爱好|兴趣",
    "POPULAR": "最 (热门|受欢迎|流行)|热门",
    "KIND": "类型|种类",
    "WHY": "为什么|为何",
    "REASON": "[并且|并|以及|和|还有|请] [请] [说明|解释|告诉我|给出|说说] [一下] "
    "(WHY|理由|原因)",
    "ASK": "[请问] [请] [你] [能|可以|能不能|可不可以] [告诉我] [数据里|这里|目录里]",
    "ARE": "有哪些|有什么|是什么|是哪些|是哪部|是哪一部|有",
}
_FORMS = {
    "recommend": """
ASK USER [还|最|接下来|下次] WOULD [最|还] LIKE
  (WHAT [THINGS]|哪 SO THINGS|THINGS ARE) [REASON]
ASK [应该] FOR USER 推荐 SOME [WHAT] [THINGS] [吧|吗] [REASON]
ASK 推荐 SOME [WHAT] [THINGS] 给 USER [吧|吗] [REASON]
ASK [有] (WHAT [THINGS]|哪 SO THINGS) (适合|值得推荐给|可以推荐给|推荐给) USER [REASON]
适合 USER 的 THINGS [ARE] [REASON]
""",
    "why": """
ASK WHY [要|会|应该] FOR USER 推荐 [了] ITEMS [呢]
ASK WHY [要|会|应该] 推荐 [了] ITEMS 给 USER [呢]
ASK WHY USER [WOULD] (喜欢|想看|爱看) ITEMS [呢]
ASK USER WHY [WOULD] (喜欢|想看|爱看) ITEMS [呢]
ASK USER WOULD [想] LIKE ITEMS [吗] [REASON]
ASK ITEMS (WHY|是否|是不是)[会] (适合|推荐给) USER [呢|吗] [REASON]
ASK ITEMS 适合 USER 吗 [REASON]
""",
    "had": """
ASK USER [已经] (看过|有过|看了|评过|买过|喜欢|喜爱|爱看) [了] ITEMS (吗|没有)
ASK USER (有没有|是否|是不是) [已经] (看过|有过|看了|评过|买过|喜欢) [了] ITEMS [吗]
ASK USER [给|对] ITEMS [打了|评了|打|评] [的评分是|的评分] COUNT [分]
ASK USER 怎么评价 ITEMS
""",
    "alike": """
ASK [有] (WHAT [THINGS]|哪 SO THINGS) WITH ITEM ALIKE
ASK WITH ITEM ALIKE 的 [[SO] THINGS] [ARE]
ASK ITEM WITH WHAT [THINGS] ALIKE
ASK ALIKE ITEM 的 [THINGS] [ARE]
ASK 推荐 SOME WITH ITEM ALIKE 的 [THINGS]
ASK (推荐|有没有|有) SOME ALIKE ITEM 的 THINGS [吗]
""",
    "taste": """
ASK USER [都|最|已经] (喜欢看|喜欢|喜爱|爱看|偏好|看过|有过) [了]
  (WHAT [THINGS|KIND [的] [NOUN]]|的 THINGS ARE)
ASK USER [最] (喜欢|喜爱|爱看) 的 (THINGS|KIND) [ARE]
ASK USER 的 TASTE [ARE|怎么样]
ASK USER 对 WHAT [THINGS|KIND] 感兴趣
ASK USER [都|最] (喜欢|喜爱|爱看|看过|有过) THINGS 吗
ASK (介绍|说说) [一下] USER [的] [TASTE]
""",
    "facts": """
ASK (介绍|说说|讲讲) [一下] [关于] ITEMS [的信息]
ASK ITEMS 是 WHAT [KIND] [的] [NOUN]
ASK ITEMS 的 KIND [ARE]
ASK ITEMS 属于 WHAT KIND [的] [NOUN]
ASK 关于 ITEMS [你] (知道什么|有什么信息)
""",
    "year": """
ASK ITEMS [是] (哪一年|哪年|什么时候) [上映|拍] 的 [NOUN]
ASK ITEMS 的年份 [ARE]
""",
    "is": """
ASK ITEMS (是|是不是|是否|属于) [一部] VALUES [吗|呢]
""",
    "count": """
ASK [一共|总共|共] 有 COUNT [UNIT] (THINGS|PEOPLE)
ASK THINGS [一共|总共|共] 有 COUNT [UNIT]
ASK [一共|总共|共] [有] COUNT [UNIT] PEOPLE [都|同时]
  (看过|有过|看了|买过|评过) [了] ITEMS
ASK (看过|有过|买过) ITEMS 的 PEOPLE [一共|总共|共] 有 COUNT [UNIT]
ASK ITEMS [一共|总共|共] 有 COUNT [UNIT] PEOPLE (看过|有过|买过|评过)
ASK USER [一共|总共|共] (看过|有过|看了|有|买过|评过) [了] COUNT [UNIT] THINGS
""",
    "popular": """
ASK (WHAT|哪 SO) THINGS POPULAR
ASK [[给我] (推荐|列出|介绍)] POPULAR 的 [SO] THINGS [ARE]
ASK [有] WHAT [POPULAR] [的] THINGS
ASK [给我] (推荐|列出|介绍) SOME [POPULAR] [的] [WHAT] THINGS [吧|吗]
ASK THINGS ARE
ASK (看过|有过) 的人最多的 THINGS [ARE]
ASK WHAT THINGS 看过的人最多
""",
}

FORMS = Forms(_FORMS, parts=_PARTS, spaced=False)

_ALSO = """
    谁 哪里 最近 讨厌 我 他 她 它 你 们 吗 呢 吧 啊 的 了 是 有 和 与 在 这 那 这个 那个
    比 更 还 都 也 一 人 年 分 部
"""
WORDS = FORMS.words | frozenset(_ALSO.split())
"""What is a word and no name."""
