"""BibTeX of the sources of losses."""

import re
from collections.abc import Iterable

from gradlab.losses.resolve import info_of
from gradlab.losses.sources import SOURCES, Source


def bibtex(names: Iterable[str]) -> str:
    """BibTeX entries of the sources of some losses, each source once.

    Args:
      names: names or aliases of `LOSSES`.

    Returns:
      The entries, in order, with an empty line between two.

    Raises:
      LossInputError: unknown name; near misses are listed.

    Example:
      >>> print(bibtex(["simpo"]))
      @misc{meng2024simpo,
        title = {{SimPO}: Simple Preference Optimization with a Reference-Free Reward},
        author = {Meng, Yu and Xia, Mengzhou and Chen, Danqi},
        year = {2024},
        eprint = {2405.14734},
        archivePrefix = {arXiv},
      }
    """
    keys = dict.fromkeys(info_of(name).citation for name in names)
    return "\n\n".join(entry(key, SOURCES[key]) for key in keys)


def entry(key: str, source: Source) -> str:
    """One BibTeX entry; its year stands in the key."""
    year = re.findall(r"\d{4}", key)[0]
    fields = {"title": source.title, "author": source.authors, "year": year}
    if source.arxiv:
        fields |= {"eprint": source.arxiv, "archivePrefix": "arXiv"}
    else:
        fields |= [source.venue]
    kind = "book" if source.venue[0] == "publisher" else "misc"
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
