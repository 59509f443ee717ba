"""What every loss promises, as checks that anyone can run on a loss of her own."""

from gradlab.losses.contract.checks import CHECKS as CHECKS
from gradlab.losses.contract.report import Verdict as Verdict
from gradlab.losses.contract.report import check_loss as check_loss
