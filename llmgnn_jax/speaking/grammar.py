"""The forms of English questions; `forms` says how they are written."""

import re

from llmgnn_jax.speaking.forms import Forms

USER = re.compile(
    r"(?:\busers?\b(?!['’]s\b)|用户)\s*#?\s*[\"'“]?([A-Za-z0-9_][A-Za-z0-9_.:@-]*)",
    re.IGNORECASE,
)
ITEM = re.compile(
    r"(?:\b(?:item|film|movie|product|book|song|artist|place)|物品|商品|电影)\s*#?\s*"
    r"((?a:\w*\d[\w.:-]*))",
    re.IGNORECASE,
)
WHY = re.compile(r"\bwhy\b|\breasons?\b|\bexplain|为什么|为何|理由|原因|解释")
PEOPLE = re.compile(r"\b(?:people|users?|viewers|persons|customers)\b|用户|人|观众")
OR = re.compile(r"\bor\b|或|还是")
AND = re.compile(r"\b(?:and|also|both)\b|和|与|及|又|而且")

_PARTS = {
    "NOUN": "items|item|films|film|movies|movie|products|product|titles|title|things"
    "|thing|ones|one",
    "KIND": "genres|genre|kinds|kind|sorts|sort|types|type|tags",
    "A": "a|an|the",
    # What is asked for: dramas; films that are dramas; 1995 dramas; dramas before 1980.
    "VALUES": "VALUE [NOUN] [MORE]",
    "MORE": "NEXT [NEXT [NEXT]]",
    "NEXT": "[(and|or) [also]] [A] VALUE [NOUN]",
    "SUCH": "((that|which) (are|is) [both|also|either] [A]|with|of|in) [the] "
    "[KIND] VALUES",
    "WHEN": "[made|released|that (are|were) [made|released]] "
    "((of|from|in) YEAR|[from] (before|after|since|until) YEAR"
    "|[from] between YEAR and YEAR|from YEAR (to|until) YEAR"
    "|from YEAR (on|onwards)|(of|from|in) [the] DECADE)",
    "THINGS": "(VALUES|NOUN|(YEAR|DECADE) (VALUES|NOUN)) [SUCH] [WHEN]",
    "SOME": "[A|some|any|a few|more] [good|other]",
    # An answer that is a list of the best may be as long as is asked for.
    "SO": "SOME|[the] [top] NUMBER [good|other|more]",
    "ITEMS": "[both] ITEM [[and] ITEM [[and] ITEM]]",
    # What somebody may do with an item.
    "WOULD": "would|will|might|may|could|should",
    "DO": "like|love|enjoy|prefer|want|watch|see|have|try|get",
    "LIKE": "[want to|like to|love to] DO",
    "FOND": "like|liked|love|loved|enjoy|enjoyed|prefer|preferred",
    "HAVE": "have|see|watch|rate|buy|read",
    "HAD": "had|seen|watched|rated|bought|read",
    "DOES": "does|did|do|has|had",
    "PEOPLE": "people|users|viewers|persons|customers",
    "POPULAR": "popular|watched|seen|bought|read|known",
    "PRONE": "favourite|favorite|favourites|favorites|preferred",
    "TASTE": "taste|tastes|preference|preferences|interests",
    "IS": "is|are|was|were",
    "WHICH": "which|what",
    "HERE": "[there] [here|in total|in all|altogether"
    "|in the (data|catalogue|catalog|dataset)]",
    "ALIKE": "[most|very|the most|also] (like|similar to|close to|closest to"
    "|nearest to|alike)",
    "REASON": "[and] [also] (why|why so|why is that|explain why|explain|explain it"
    "|tell me why|say why|for (what|which) (reason|reasons)|with [the] reasons"
    "|give [me] [the] (reason|reasons)|what are the reasons)",
    "ASK": "[can you|could you|would you|will you|i want to know|do you know] "
    "[tell me|tell us|say]",
    "FIND": "(recommend|suggest|find|pick|give|show|list|name) [me|us]",
    "SUGGESTED": "recommended|suggested|listed|ranked|good|right|best"
    "|[a] good (choice|recommendation|NOUN)",
}
_FORMS = {
    "recommend": """
ASK WHICH ([of the] [THINGS]|NUMBER THINGS) WOULD USER
  [most|probably|also|rather] LIKE [best|most|next|now] [REASON]
ASK WHICH [[NUMBER] THINGS] USER WOULD [most|probably] LIKE [best|most|next] [REASON]
ASK WHICH [[NUMBER] THINGS] (would|do|can|could|should) (you|i|we) (recommend|suggest)
  (to|for) USER [next] [REASON]
ASK FIND SO [best] (THINGS|recommendations|suggestions) [to watch|to see] (to|for)
  USER [REASON]
ASK (recommend|suggest) [something|anything] (to|for) USER [REASON]
ASK (recommend|suggest) USER SO (THINGS|something) [REASON]
SO [best] (THINGS|recommendations|suggestions) for USER [REASON]
ASK WHICH IS SO [best] (THINGS|recommendations|suggestions) for USER [REASON]
ASK WHICH [[NUMBER] THINGS] (IS|would be) SUGGESTED (to|for) USER [next] [REASON]
ASK [FIND|WHICH IS] [the] top NUMBER (to|for) USER [REASON]
what next for USER
""",
    "why": """
ASK [explain] why ITEMS for USER
ASK [explain] why IS ITEMS [SUGGESTED] (to|for) USER
ASK [explain] why ITEMS IS [SUGGESTED] (to|for) USER
ASK why would ITEMS be SUGGESTED (to|for) USER
ASK why (do|did|would|should|could) (you|i|we) (recommend|suggest) ITEMS (to|for) USER
ASK why WOULD USER [probably] LIKE ITEMS
ASK [explain] why USER WOULD [probably] LIKE ITEMS
ASK why (does|did) USER (like|love|enjoy|prefer) ITEMS
ASK WOULD USER [probably] LIKE ITEMS [REASON]
ASK (if|whether) USER WOULD LIKE ITEMS [REASON]
ASK IS ITEMS SUGGESTED (to|for) USER [REASON]
ASK would ITEMS be SUGGESTED (to|for) USER [REASON]
explain ITEMS (to|for) USER
explain the recommendation of ITEMS (to|for) USER
""",
    "had": """
ASK [if|whether] (DOES|have) USER [ever|already|really] (HAD|HAVE|FOND) ITEMS
  [already|before|yet]
ASK (if|whether) USER [has|had|did] [ever|already|really] (HAD|FOND) ITEMS
  [already|before|yet]
ASK how (does|did) USER (rate|like|enjoy) ITEMS
ASK WHICH [rating] did USER give [to] ITEMS
ASK WHICH IS USER rating (of|for) ITEMS
ASK how IS ITEMS rated by USER
ASK IS ITEMS [ever|already] (HAD|liked|enjoyed) by USER
""",
    "alike": """
ASK WHICH [other] [[NUMBER] [other] THINGS] IS ALIKE ITEM
ASK WHICH [[NUMBER] THINGS] (resemble|resembles) ITEM
ASK WHICH is ITEM (similar to|close to|closest to|nearest to)
ASK [FIND] SO (THINGS|something) [that IS|which IS] ALIKE ITEM
ASK (are|is) there SOME (THINGS|something) ALIKE ITEM
""",
    "taste": """
ASK WHICH [of the] [THINGS] (DOES|have) USER [really|usually|mostly|already]
  (FOND [best|most]|HAVE|HAD) [so far|already|before]
ASK DOES USER [ever|already|really] (FOND|HAVE|HAD) SOME THINGS [already|before]
ASK WHICH [THINGS|KIND [of NOUN]] USER (likes|liked|enjoys|enjoyed|prefers|[has] HAD)
  [best|most|so far|already]
ASK WHICH IS [the] USER (TASTE|PRONE [THINGS|KIND]) [in NOUN]
ASK WHICH (THINGS|KIND [of NOUN]) IS USER PRONE
ASK WHICH KIND [of NOUN] DOES USER (FOND|HAVE|HAD) [best|most]
ASK WHICH IS USER interested in
ASK (describe|about|something about) USER [TASTE]
ASK what (do you|do we|is) (know|known) (about|of) USER [TASTE]
[the] USER (TASTE|PRONE THINGS)
""",
    "facts": """
ASK [more|something|anything] about ITEMS
ASK WHICH IS ITEMS [like]
ASK describe ITEMS
ASK what (do you|do we|is) (know|known) (about|of) ITEMS
ASK WHICH KIND [of NOUN] (IS|has|have|do|does) ITEMS [have|has|in|of|belong to]
ASK (to|of|in) WHICH KIND (IS|do|does) ITEMS [belong]
ASK WHICH IS the KIND of ITEMS
ASK [give|list|show|name] [me] [the|some] (facts|KIND) (about|of|for) ITEMS
""",
    "year": """
ASK when (IS|did) ITEMS (made|released|from|come out|appear)
ASK [from|in|of] WHICH year (IS|did) ITEMS [from|of|made|released|come out|appear]
ASK WHICH IS the year of ITEMS
""",
    "is": """
ASK [if|whether] IS ITEMS [both|either] [A] VALUES
ASK (if|whether) ITEMS IS [both|either] [A] VALUES
ASK (does|do) ITEMS belong to [the] [KIND] VALUES
""",
    "count": """
ASK how many [of the] THINGS (are|exist|are known|do you have|do you know|do we have)
  HERE [WHEN]
ASK how many (VALUES|NOUN) IS WHEN
ASK how many PEOPLE (are|exist|do you have|do you know|do we have) HERE
ASK [give [me]] [what is] (count|number of|the number of) [all] [the] (THINGS|PEOPLE)
  HERE
ASK how many PEOPLE [have|has|did] [already] (HAD|HAVE|saw) ITEMS [already]
ASK how many PEOPLE (who|that) [have] (HAD|saw) ITEM [have] also (HAD|saw) ITEM
ASK by how many PEOPLE (was|were) ITEMS HAD
ASK [what is] (count|number of|the number of) [all] [the] PEOPLE (who|that) [have]
  (HAD|saw) ITEMS
ASK how many THINGS (DOES|have) USER [already] (HAD|HAVE) [so far|already|in total]
""",
    "popular": """
ASK WHICH IS [the] ([NUMBER] (most POPULAR|popular)|top [NUMBER]) THINGS HERE
ASK WHICH [NUMBER] THINGS IS [the] [most] POPULAR HERE
ASK FIND SO [the] [most] [POPULAR] THINGS
[the] [NUMBER] most POPULAR THINGS
[the] top [NUMBER] THINGS
ASK [FIND|WHICH IS] [the] top NUMBER HERE
ASK WHICH THINGS (IS there|exist|do you have|do you know) HERE [WHEN]
ASK WHICH NOUN are VALUES [WHEN]
ASK (is|are) there SOME THINGS HERE
ASK WHICH [NUMBER] THINGS (did|do|have) [the] most people (HAVE|HAD)
ASK WHICH [NUMBER] THINGS (did|do|have) [the] people (HAVE|HAD) most
""",
}

FORMS = Forms(_FORMS, parts=_PARTS, spaced=True)

_ALSO = """
    again alike always am aren't as at bad because been being better but cannot come did
    didn't dislike disliked dislikes doesn't don't done enjoys every everyone everything
    few fewer first friends had hasn't hate hated hates haven't he her here him his how
    i'm isn't it its just last latest least less let likes loves many mine much my never
    new newer no nobody none nor not nothing often old older only our out own please
    prefers rather ratings same sees self she someone tag than their them then they this
    those time times together too very was wasn't watches we well when where while who
    whom whose without won't worse worst wouldn't user users yes your
"""
WORDS = FORMS.words | frozenset(_ALSO.split())
"""What is a word and no name: that a question holds one it has no place for is told as
not understood, and another word as not known."""
