"""Tidy tables, manifests and LaTeX: written whole or not at all, and read back."""

from gradlab.tables.claims import CLAIM_COLUMNS as CLAIM_COLUMNS
from gradlab.tables.claims import Claim as Claim
from gradlab.tables.claims import claims_table as claims_table
from gradlab.tables.claims import judge as judge
from gradlab.tables.claims import undecided as undecided
from gradlab.tables.files import TEXT_COLUMNS as TEXT_COLUMNS
from gradlab.tables.files import read_table as read_table
from gradlab.tables.files import stage as stage
from gradlab.tables.files import write_table as write_table
from gradlab.tables.intervals import estimate as estimate
from gradlab.tables.intervals import rank_correlation as rank_correlation
from gradlab.tables.latex import escape as escape
from gradlab.tables.latex import to_latex as to_latex
from gradlab.tables.manifests import build_manifest as build_manifest
from gradlab.tables.manifests import code_commit as code_commit
from gradlab.tables.manifests import config_digest as config_digest
from gradlab.tables.manifests import read_manifest as read_manifest
from gradlab.tables.manifests import write_manifest as write_manifest
from gradlab.tables.studies import STUDY_COLUMNS as STUDY_COLUMNS
from gradlab.tables.studies import StudyResult as StudyResult
from gradlab.tables.studies import check_study_table as check_study_table
from gradlab.tables.studies import require_columns as require_columns
from gradlab.tables.studies import seed_intervals as seed_intervals
from gradlab.tables.studies import select as select
from gradlab.tables.studies import write_study as write_study
