"""Which tokenizer a checkpoint's model was trained with: that of its run."""

from __future__ import annotations

from pathlib import Path

from modelwright.assemble import made
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Tokenizer
from modelwright_plugins.artifacts.examples import tokenizer_hash


def hash_of(checkpoint: Path) -> str | None:
    """SHA-256 of the tokenizer that the run of a checkpoint's folder had when it was made; None: the checkpoint stands in no run, or its
    run knows none."""
    stage = checkpoint.absolute().parent
    try:
        found = [*made(stage.parent)]  # the last stage first
        first = next((number for number, (out, _) in enumerate(found) if out == stage), 0)
        places = [out / Tokenizer.name for out, artifacts in found[first:] if Tokenizer.name in artifacts]
        return tokenizer_hash(places[0]) if places else None
    except (ModelwrightError, OSError):
        return None


def refuse_other(checkpoint: Path, tokenizer: Path, named: str) -> None:
    """ModelwrightError: a checkpoint, which settings name so, was trained with another tokenizer. As many tokens they may both have."""
    theirs = hash_of(checkpoint)
    if theirs is not None and theirs != tokenizer_hash(tokenizer):
        raise ModelwrightError(
            f"{named}: it was trained with another tokenizer than {tokenizer}, so that its tokens mean other text; leave "
            "train_tokenizer out of stages, and from=RUN gives the one of its run"
        )
