"""Running a study, the only part with side effects: the loop, the engines that train, the storage that keeps.

The optional libraries are imported only by the module that needs them.
"""
