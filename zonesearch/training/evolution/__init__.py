"""Evolution between epochs: every few epochs, children of the network are evaluated on data that gradient descent never
sees.

There are two methods, :class:`RandomGradients` and :class:`Strategies`, each with a control arm in which every weight
update is replaced by noise of the same norm, so that only the effect of the perturbation remains.
"""

from zonesearch.training.evolution.phase import Phase
from zonesearch.training.evolution.random_gradients import RandomGradients
from zonesearch.training.evolution.strategies import Strategies
from zonesearch.training.evolution.table import evolution_from_table

__all__ = ["Phase", "RandomGradients", "Strategies", "evolution_from_table"]
