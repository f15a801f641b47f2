"""zonesearch for scikit-learn: :class:`ZoneSearchCV`, in the place of ``GridSearchCV`` or ``RandomizedSearchCV``."""

from zonesearch.sklearn.search import ZoneSearchCV

__all__ = ["ZoneSearchCV"]
