"""What the controlling network is made from: its tasks, its corpus of real trainings, and how its prior is trained.

These are commands for those who want to make the prior anew, not a part of the installed package, whose one file of
weights they write: ``python -m controller.corpus`` and ``python -m controller.train``. They stand beside the package
because they need torch and minutes to hours, and the package needs neither to use what they make.
"""
