"""The folder of one run: whose it is, and whether it is finished."""

import json
from pathlib import Path

from gradlab.disk import is_content, read_object
from gradlab.errors import GradlabError
from gradlab.tables import stage
from gradlab.training.config import TrainConfig
from gradlab.training.config_file import differences, to_mapping

CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"
FAILURE = "failure"  # of what a number that is not finite left behind


def inspect_folder(folder: Path, config: TrainConfig) -> bool:
    """Sees whether this run may write into the folder; changes nothing.

    Args:
      folder: new, empty, or of an earlier start of the same run.
      config: compared with the folder's config.json.

    Returns:
      Whether the run is to go on from what is there.

    Raises:
      GradlabError: the folder holds another configuration (with a diff), a run and no
        --resume, or files that are no run.
    """
    here = to_mapping(config)
    path = folder / CONFIG
    if path.is_file():
        if lines := differences(read_object(path), here):
            raise GradlabError(
                f"{folder} holds a run of another configuration; expected the same one "
                "or another --out. They differ in\n  " + "\n  ".join(lines)
            )
        if not config.resume:
            raise GradlabError(
                f"{folder} holds this run already; --resume goes on with it, another "
                "--out begins anew"
            )
        return True
    if folder.is_dir() and any(map(is_content, folder.iterdir())):
        raise GradlabError(
            f"--out {folder} holds files that are no run; expected a new or empty "
            "folder"
        )
    return False


def claim_folder(folder: Path, config: TrainConfig) -> None:
    """Makes the folder this run's: writes config.json."""
    with stage(folder) as partial:
        text = json.dumps(to_mapping(config), indent=2)
        (partial / CONFIG).write_text(text + "\n")
