"""Free memory that costs every tool the same.

The host of a virtual machine may take memory back that its guest has freed (free
page reporting): whoever gets such a page waits for the host, which makes a write
to a tmpfs up to ten times as expensive, for one tool in one round and not for
another. The guest offers blocks of 512 pages and more, and gives away smaller
ones first.
"""

import mmap

PAGE = mmap.PAGESIZE
KEEP_ONE_IN = 64
# madvise(2), since Linux 5.14; Python does not name it.
MADV_POPULATE_WRITE = 23
STEP_BYTES = 64 << 20


class BackedMemory:
    """Has the host back so much memory, and leaves it free in pieces of fewer
    than 64 pages, as long as the object lives."""

    def __init__(self, size_bytes):
        self._kept = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE)
        self._kept.madvise(mmap.MADV_NOHUGEPAGE)
        # Else what it keeps would count as memory of each tool that is started.
        self._kept.madvise(mmap.MADV_DONTFORK)
        for begin in range(0, size_bytes, STEP_BYTES):
            self._kept.madvise(MADV_POPULATE_WRITE, begin, STEP_BYTES)
        for begin in range(0, size_bytes, KEEP_ONE_IN * PAGE):
            self._kept.madvise(
                mmap.MADV_DONTNEED, begin + PAGE, (KEEP_ONE_IN - 1) * PAGE
            )
