from __future__ import annotations

import errno

import pytest

from modelwright_plugins.tracker import forgiving
from modelwright_plugins.tracker.jsonl import Jsonl


def test_a_tracker_that_fails_warns_and_a_full_disk_is_an_error():
    with pytest.warns(UserWarning, match="tracker Jsonl failed: RuntimeError: no network"), forgiving(Jsonl()):
        raise RuntimeError("no network")
    with pytest.raises(OSError), forgiving(Jsonl()):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt), forgiving(Jsonl()):
        raise KeyboardInterrupt
