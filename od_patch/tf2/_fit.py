"""Why a checkpoint of TensorFlow 2 does not fit a model, as far as names and shapes tell.

Not for: whether it fits; ``_checkpoint.check_graph`` looks, at every variable.
"""
_EXTRACTOR = '_feature_extractor'  # what both meta-architectures call it, in every release


def likely_cause(wanted, held):
    """Returns what is most likely the reason, in words and with what to do.

    Args:
        wanted: dict from the name of a variable of the model to its shape; held: the same of the checkpoint.
    """
    missing = sorted(set(wanted) - set(held))
    there = sorted(set(wanted) & set(held))
    reshaped = [name for name in there if list(wanted[name]) != list(held[name])]
    rest = 'Use the pipeline.config that lies beside the checkpoint.'
    if not there:
        return ('Likely cause: the checkpoint is of no such model: none of its {} variables has a name of this one. '
                'Export one that the training wrote (model_dir of model_main_tf2).'.format(len(held)))
    if missing and not reshaped and not any(_EXTRACTOR in name for name in missing):
        return ('Likely cause: the checkpoint holds the feature extractor alone, as one to begin a training with does '
                '(fine_tune_checkpoint); its boxes and classes would be random. Export one that the training wrote.')
    if reshaped and not missing and all(_only_last_differs(wanted[name], held[name]) for name in reshaped) and not any(
            _EXTRACTOR in name for name in reshaped):
        name = min(reshaped, key=lambda one: (len(wanted[one]), one))
        return ('Likely cause: the class count (num_classes) or the anchors: {} has {} outputs by the config and {} in '
                'the checkpoint. Set it with --config_override, or use the config of the training.'.format(
                    name, wanted[name][-1], held[name][-1]))
    if missing and len(missing) > len(there):
        return 'Likely cause: another model or another feature extractor. ' + rest
    return 'Likely cause: the pipeline config is not the one that this checkpoint was trained with. ' + rest


def _only_last_differs(one, other):
    return len(one) == len(other) and len(one) > 0 and list(one)[:-1] == list(other)[:-1]
