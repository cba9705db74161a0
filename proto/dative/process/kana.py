"""Japanese kana as tables: which character of one form is which of the other.

Hiragana and katakana stand in Unicode at a fixed distance. Half-width katakana write a voiced sound as two characters.
Source: The Unicode Standard, charts U+3040, U+30A0 and U+FF00 (halfwidth katakana).
"""

from __future__ import annotations

FORMS = ("katakana", "hiragana", "full", "half")

_DISTANCE = 0x60
HIRAGANA = "".join(map(chr, (*range(0x3041, 0x3097), 0x309D, 0x309E)))
KATAKANA = "".join(chr(ord(character) + _DISTANCE) for character in HIRAGANA)

HALF = "｡｢｣､･ｦｧｨｩｪｫｬｭｮｯｰｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝﾞﾟ"
FULL = (
    "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタ"
    "チツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン゛゜"
)

_VOICED = "ガギグゲゴザジズゼゾダヂヅデドバビブベボヴ"
_UNVOICED = "ｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎｳ"
_PUT = "パピプペポ"

PAIRS: tuple[tuple[str, str], ...] = (
    *((f"{half}ﾞ", full) for half, full in zip(_UNVOICED, _VOICED, strict=True)),
    *((f"{half}ﾟ", full) for half, full in zip("ﾊﾋﾌﾍﾎ", _PUT, strict=True)),
)
"""Two half-width characters and the one of full width that they are."""
