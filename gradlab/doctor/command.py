"""What `gradlab doctor` does: look at the installation, then at a model and data."""

import json
import sys

from gradlab.doctor.config import DoctorConfig
from gradlab.doctor.findings import as_values, worst
from gradlab.doctor.installation import installation
from gradlab.errors import GradlabError
from gradlab.inputs.config import check_seed


def doctor(config: DoctorConfig) -> int:
    """Print every finding.

    Returns:
      The exit status: 1 when a check fails.

    Raises:
      GradlabError: a setting is out of range.
    """
    for option, value in (("batch-size", config.batch_size), ("limit", config.limit)):
        if value < 1:
            raise GradlabError(f"--{option} is {value}; expected at least 1")
    check_seed(config.seed)
    findings = list(installation())
    if worst(findings) != "FAIL":  # else what follows can't be imported
        from gradlab.doctor.examination import examine

        findings += examine(config)
    if config.json:
        json.dump(as_values(findings), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        from gradlab.doctor.printing import print_findings

        print_findings(findings)
    return int(worst(findings) == "FAIL")
