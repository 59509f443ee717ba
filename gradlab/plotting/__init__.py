"""Axes-level plots of losses' gradients: take data and `ax`, return `ax`."""

from gradlab.plotting.agreement import plot_agreement as plot_agreement
from gradlab.plotting.buckets import plot_buckets as plot_buckets
from gradlab.plotting.cases import plot_cases as plot_cases
from gradlab.plotting.comparison import comparison_figures as comparison_figures
from gradlab.plotting.curves import plot_length_curves as plot_length_curves
from gradlab.plotting.curves import plot_net_weight as plot_net_weight
from gradlab.plotting.curves import plot_penalty_curves as plot_penalty_curves
from gradlab.plotting.curves import plot_penalty_scatter as plot_penalty_scatter
from gradlab.plotting.drift import drift_figures as drift_figures
from gradlab.plotting.drift import waterfall_tokens as waterfall_tokens
from gradlab.plotting.field import plot_gradient_field as plot_gradient_field
from gradlab.plotting.field import plot_gradient_fields as plot_gradient_fields
from gradlab.plotting.gram import plot_token_gram as plot_token_gram
from gradlab.plotting.heat import plot_token_heat as plot_token_heat
from gradlab.plotting.lanes import plot_token_weights as plot_token_weights
from gradlab.plotting.logits import plot_logit_bars as plot_logit_bars
from gradlab.plotting.masses import plot_mass as plot_mass
from gradlab.plotting.masses import plot_region_shares as plot_region_shares
from gradlab.plotting.pairs import example_pair as example_pair
from gradlab.plotting.scales import weight_norm as weight_norm
from gradlab.plotting.style import DOUBLE_COLUMN as DOUBLE_COLUMN
from gradlab.plotting.style import SINGLE_COLUMN as SINGLE_COLUMN
from gradlab.plotting.style import loss_styles as loss_styles
from gradlab.plotting.style import paper_style as paper_style
from gradlab.plotting.style import save_figure as save_figure
from gradlab.plotting.waterfall import plot_waterfall as plot_waterfall
