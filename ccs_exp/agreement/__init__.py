"""The agreement study (paper, section 4.2): draw descriptions from runs, let people rate them blindly, compare.

``ccs-exp agreement draw | rate | report | compare``. A study is a few CSV files side by side:

=============================  ======================================================================================
``SHEET.csv``                  what raters see: ``item, description, label``, shuffled, with no trace of run or verdict
``SHEET.key.csv``              what they must not see: where each item is from, and the judge's verdict
``SHEET.ratings.NAME.csv``     one rater's answers, each on disk before the next question
``agreement.csv``, ``.md``     the report
``intruder.csv``               of sheets of intruder items: which a person found, by head
=============================  ======================================================================================

The sheet alone is enough to rate: it can be sent to a rater, whose file is then put back beside it.

In: run folders, and people's answers. Out: these files. May import `run_folder`, `statistics`, `files` and `errors`.
"""
