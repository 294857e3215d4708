"""The atlas of a run: what each head sees, to be looked at. Pages for every head, the same heads of two runs side by side, an app.

In: a run folder, what its heads add to every probe image (`ccs_exp.scoring.contributions`), the model, and the images as far as they are
still there. Out: ``atlas/*.html`` in the run folder, figures for notebooks, answers to questions of one's own. `facts` reads the run,
`looks` chooses images, `shown` sees each of them once more, `pages` and `beside` write, `figures`, `questions` and `app` answer. Imports
whatever lies below it; `jobs` and the notebook import it.
"""
