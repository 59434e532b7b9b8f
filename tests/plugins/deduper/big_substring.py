"""100 MB through the steps of a substring deduper: python tests/plugins/deduper/big_substring.py (about 2 minutes, 3 GB)."""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from passes import deduplicate

from modelwright_plugins.deduper.substring import Substring

texts: list[str] = []
size = 0
for file in sorted(Path(sys.prefix).rglob("*.py")):
    text = file.read_text(encoding="utf-8", errors="replace")
    texts.append(text)
    size += len(text.encode())
    if size > 100_000_000:
        break
began, cpu = time.time(), time.process_time()
with tempfile.TemporaryDirectory() as folder:
    left = deduplicate(Substring(), texts, Path(folder), 3)
seconds, kept = time.time() - began, sum(len(text.encode()) for text in left if text)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{size / 1e6:.0f} MB, {len(texts)} documents: {kept / 1e6:.0f} MB left in {seconds:.0f} s")
print(f"{time.process_time() - cpu:.0f} s of CPU, {peak:.1f} GB of memory")
