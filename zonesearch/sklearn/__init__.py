"""zonesearch for scikit-learn: :class:`ZoneSearchCV`, a replacement for ``GridSearchCV`` and ``RandomizedSearchCV``."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("ZoneSearchCV needs scikit-learn: pip install 'zonesearch[sklearn]'")

from zonesearch.sklearn.search import ZoneSearchCV

__all__ = ["ZoneSearchCV"]
