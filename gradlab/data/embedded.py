"""Where the model that comes with the package lies; importing this loads no jax."""

from importlib import resources
from pathlib import Path

from gradlab.errors import DataError


def embedded_model_folder() -> Path:
    """The folder of the small language model that solves `gradlab.data.arithmetic`.

    It was trained by `python -m analyses.train_arithmetic_lm`; its `manifest.json` says
    how, and how many fresh problems it solves.

    Returns:
      A folder in Hugging Face Llama layout, with `tokenizer.json` and `manifest.json`.

    Raises:
      DataError: the installed package lacks the folder, or is packed in an archive.
    """
    folder = resources.files("gradlab.data") / "arithmetic_lm"
    if not isinstance(folder, Path) or not (folder / "model.safetensors").is_file():
        raise DataError(
            f"{folder}: the embedded model is missing, expected a folder with "
            "model.safetensors; reinstall gradlab, or name a model of your own"
        )
    return folder
