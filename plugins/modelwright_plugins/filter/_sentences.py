"""How many sentences spaCy's sentencizer finds in a line, from its words."""

from __future__ import annotations

import re
from unicodedata import category

from modelwright_plugins.filter import _pieces
from modelwright_plugins.filter._text import Mode, spacy_chunks
from modelwright_plugins.filter._words import WORDS

PIECES = re.compile(r"\S+|\s+")
# What ends a sentence: `Sentencizer.default_punct_chars`, of spaCy 3.8; a test compares them. spaCy takes a second to import.
ENDS = frozenset(
    "!.?։؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？𐩖𐩗𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟𑈸𑈹𑈻𑈼𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑩂𑩃𑪛𑪜𑱁𑱂𖩮𖩯𖫵𖬷𖬸𖭄𛲟𝪈｡。"
)


def count_sentences(line: str, mode: Mode, enough: int | None = None) -> int:
    """At least `enough` where there are so many. A sentence begins with the first word after an end that is not punctuation; blanks but
    for a single space between two words are a word, too."""
    if mode == "fast":
        return _pieces.count_sentences(line)
    table = spacy_chunks()
    if table.doubtful(line):
        return max(1, WORDS.count_sentences(line))
    found, ended = 1, False
    for piece in PIECES.finditer(line):
        chunk = piece.group()
        words = table.words_of(chunk) if not chunk.isspace() else [] if chunk == " " and piece.start() else [chunk]
        for word in words:
            if word in ENDS:
                ended = True
            elif ended and not all(category(character).startswith("P") for character in word):
                found, ended = found + 1, False
        if enough is not None and found >= enough:
            break
    return found
