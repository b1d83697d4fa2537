"""The same frozen graph again, from its checkpoint and config.

``_installed`` exports with the release that is installed, and sets what can be set. The other modules look for the
release and the TensorFlow that made the graph: the history of a clone (``_clone``), what of it comes into question
(``_plan``), environments for old TensorFlows (``_environments``) that are kept (``_cache``), one export in one of them
(``_trial``), which one next (``_search``), and how to do it again by hand (``_recipe``).
"""
