"""Errors that a user can act on.

Everything that gradlab refuses on purpose raises a `GradlabError` whose message names
the offending argument, file and row, what was found and what was expected. The command
line prints that message alone; any other exception is a defect of gradlab.
"""


class GradlabError(ValueError):
    """A refused input. The message alone tells what to change."""


class LossInputError(GradlabError):
    """A loss was given arrays or hyperparameters that it can't use."""


class DataError(GradlabError):
    """A data file, row or tokenizer can't be used."""


class CheckpointError(GradlabError):
    """A model folder is incomplete, inconsistent or of an unsupported layout."""


class MissingExtraError(GradlabError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class JudgeError(GradlabError):
    """A judge of completions can't be used, or refuses to work."""
