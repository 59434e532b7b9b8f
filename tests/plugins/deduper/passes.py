"""What a corpus is after a deduper, by the steps that the curate stage runs."""

import itertools

from datatrove.data import Document

from modelwright_plugins.deduper._steps import Match, Remove, Sign


def deduplicate(deduper, texts, folder, tasks=1):
    """The texts that are left, None for one that went. Tasks take neighbouring texts."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds = [len(texts) * task // tasks for task in range(tasks + 1)]
    shares = [[Document(text=texts[i], id=str(i)) for i in range(a, b)] for a, b in itertools.pairwise(bounds)]
    for rank, share in enumerate(shares):
        assert [doc.id for doc in Sign(deduper, folder).run(iter(share), rank, tasks)] == [doc.id for doc in share]
    Match(deduper, folder).run()
    left = [None] * len(texts)
    for rank, share in enumerate(shares):
        for doc in Remove(deduper, folder).run(iter(share), rank, tasks):
            left[int(doc.id)] = doc.text
    return left
