"""What `gradlab report` does: read the runs, write the page, say where it is."""

from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.report.config import MAX_PAIRS, ReportConfig
from gradlab.report.packing import DIGITS
from gradlab.report.runs import read_run
from gradlab.report.write import PAGE, Written, write_report


def report(config: ReportConfig) -> None:
    """Write the page of some runs.

    Raises:
      GradlabError: no run, a folder that holds none, or a page that is there already.
    """
    if not config.runs:
        raise GradlabError("report needs the folder of a run, e.g. runs/compare-1")
    if config.max_pairs is not None and config.max_pairs < 1:
        raise GradlabError(f"--max-pairs is {config.max_pairs}; expected at least 1")
    out = config.out or config.runs[0] / PAGE
    if out.is_dir():
        raise GradlabError(f"--out {out} is a folder; expected the name of a file")
    if out.exists() and not config.overwrite:
        raise GradlabError(f"{out} is there already (--overwrite replaces it)")
    most = config.max_pairs or MAX_PAIRS
    runs = [read_run(folder, max_pairs=most) for folder in config.runs]
    written = write_report(runs, out, every_pair=config.max_pairs is not None)
    print(f"Wrote {plain(str(out))} ({written.size / 1e6:.1f} MB)")
    _say_what_is_left_out(written)


def _say_what_is_left_out(written: Written) -> None:
    if written.digits < DIGITS[0]:
        print(f"  numbers of tokens to {written.digits} digits, to keep the page small")
    for run in written.runs:
        if 0 < run.pairs < run.total:
            shown = f"the first {run.pairs} of {run.total} pairs"
            print(f"  {plain(run.name)}: {shown} (--max-pairs shows more)")
