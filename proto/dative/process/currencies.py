"""Currencies: how many digits stand after the point of each, and the ways of rounding to them."""

from __future__ import annotations

MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""Digits after the point of the currencies that have not two. Source: ISO 4217, list one."""

MINOR_UNITS_DEFAULT = 2


def minor_units(currency: str) -> int:
    """Digits after the point of a currency, by its three-letter code."""
    return MINOR_UNITS.get(currency, MINOR_UNITS_DEFAULT)


ROUNDINGS = ("half_even", "half_up", "up", "down", "ceiling", "floor")
"""Ways of rounding; the first is the default."""
