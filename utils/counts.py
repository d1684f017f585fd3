"""How every module checks a number of things. No torch in here."""


def check_count(name: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number of at least `least`.

    Raises:
        ValueError: naming what it should be and what it is.

    >>> check_count("n_heads", 8)
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(
            f"{name} should be a whole number, {least} or more, got {value!r} of type "
            f"{type(value).__name__}"
        )
    if value < least:
        raise ValueError(f"{name} should be {least} or more, got {value}")
