"""glibc's malloc, told to keep what is freed and to use huge pages where it may.

By default a block of more than 32 MiB is mapped anew each time it is needed, and every
page of it faults. So it is, whatever is set, in a thread that has a heap of its own:
hence one arena. Peers that make such temporaries in each step run up to four times as
fast with this, so they have a row with it, and where we make some, we have one too.
"""

KEEPS_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "THP_MEM_ALLOC_ENABLE": "1",
}
