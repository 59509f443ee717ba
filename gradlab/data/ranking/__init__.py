"""Rankings of completions from pairwise judgements, and pairs from rankings."""

from gradlab.data.ranking.completions import Completions as Completions
from gradlab.data.ranking.completions import read_completions as read_completions
from gradlab.data.ranking.contests import Plan as Plan
from gradlab.data.ranking.contests import Ranked as Ranked
from gradlab.data.ranking.contests import preference_pair as preference_pair
from gradlab.data.ranking.endpoint import EndpointJudge as EndpointJudge
from gradlab.data.ranking.judgements import Judgements as Judgements
from gradlab.data.ranking.judges import Answer as Answer
from gradlab.data.ranking.judges import FunctionJudge as FunctionJudge
from gradlab.data.ranking.judges import Judge as Judge
from gradlab.data.ranking.judges import Question as Question
from gradlab.data.ranking.judges import UnansweredError as UnansweredError
from gradlab.data.ranking.judges import UtilityJudge as UtilityJudge
from gradlab.data.ranking.judges import checked_solutions as checked_solutions
from gradlab.data.ranking.judges import given_scores as given_scores
from gradlab.data.ranking.ranker import RankedPrompts as RankedPrompts
from gradlab.data.ranking.ranker import rank_prompts as rank_prompts
from gradlab.data.ranking.ratings import elo_ratings as elo_ratings
from gradlab.data.ranking.ratings import fit_bradley_terry as fit_bradley_terry
from gradlab.data.ranking.retry import Backoff as Backoff
from gradlab.data.ranking.schemes import Scheme as Scheme
from gradlab.data.ranking.schemes import scheme as scheme
from gradlab.data.ranking.strategies import Ranking as Ranking
from gradlab.data.ranking.strategies import decide as decide
