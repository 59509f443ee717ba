"""What `gradlab report` does: read the runs, write the page, say where it is."""

from gradlab.errors import GradlabError
from gradlab.inputs.printing import plain
from gradlab.report.config import ReportConfig
from gradlab.report.runs import read_run
from gradlab.report.write import PAGE, write_report


def report(config: ReportConfig) -> None:
    """Write the page of some runs.

    Raises:
      GradlabError: no run, a folder that holds none, or a page that is there already.
    """
    if not config.runs:
        raise GradlabError("report needs the folder of a run, e.g. runs/compare-1")
    if config.max_pairs < 1:
        raise GradlabError(f"--max-pairs is {config.max_pairs}; expected at least 1")
    out = config.out or config.runs[0] / PAGE
    if out.is_dir():
        raise GradlabError(f"--out {out} is a folder; expected the name of a file")
    if out.exists() and not config.overwrite:
        raise GradlabError(f"{out} is there already (--overwrite replaces it)")
    runs = [read_run(folder, max_pairs=config.max_pairs) for folder in config.runs]
    size = write_report(runs, out)
    print(f"Wrote {plain(str(out))} ({size / 1e6:.1f} MB)")
    for run in runs:
        if run.pairs < run.total:
            shown = f"the first {run.pairs} of {run.total} pairs"
            print(f"  {plain(run.name)}: {shown} (--max-pairs shows more)")
