"""Evolution between epochs: every few epochs children of the network are judged on data that descent never sees.

Two ways to make use of them, :class:`RandomGradients` and :class:`Strategies`, each with a control arm: every update
of the weights is replaced by noise of the same length, so that what remains is the effect of shaking alone.
"""

from zonesearch.training.evolution.phase import Phase
from zonesearch.training.evolution.random_gradients import RandomGradients
from zonesearch.training.evolution.strategies import Strategies
from zonesearch.training.evolution.table import evolution_from_table

__all__ = ["Phase", "RandomGradients", "Strategies", "evolution_from_table"]
