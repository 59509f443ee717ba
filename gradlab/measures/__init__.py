"""What can be measured on pairs, weights and gradients."""

from gradlab.measures.regions import REGIONS as REGIONS
from gradlab.measures.regions import PairRegions as PairRegions
from gradlab.measures.regions import net_prefix_weights as net_prefix_weights
from gradlab.measures.regions import pair_regions as pair_regions
from gradlab.measures.regions import region_sums as region_sums
