"""One self-contained HTML page from the folders of runs, and its view in notebooks."""

from gradlab.report.page import render_page as render_page
from gradlab.report.runs import Run as Run
from gradlab.report.runs import read_run as read_run
from gradlab.report.view import PairView as PairView
from gradlab.report.write import add_report as add_report
from gradlab.report.write import drop_earlier as drop_earlier
from gradlab.report.write import write_report as write_report
