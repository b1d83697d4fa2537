"""Questions about graphs: ``compare``, ``inspect``, ``freeze`` and ``regenerate``, as functions and for the commands.

Each function that ends in an underscore returns what the rooms found, for a command to show; the one without returns
the named tuple of the same.

Not for: the questions themselves, which are those of ``compare`` and ``graphs``.
"""
import os
import typing

from od_patch import _errors
from od_patch import api
from od_patch.api import _made
from od_patch.api import _paths
from od_patch.staging import _staging

_Any = typing.Any  # what the rooms found, and what was given and is looked at here


def compare_(
        left: _Any, right: _Any, outputs: _Any, checkpoint: _Any, run: _Any, canonical: _Any, report: _Any,
        overwrite: _Any, progress: _Any = None) -> _Any:
    """Returns (``compare._verdict.Answer``, the files that were written); the answer is None for one graph alone."""
    _paths.require_tensorflow()
    from od_patch.compare import _canonical
    from od_patch.compare import _verdict
    from od_patch.graphs import _sources
    left, right = _paths.local(left), _paths.local(right)
    outputs, checkpoint = _paths.names(outputs), _paths.expanded(checkpoint)
    results = [path for path in (report, canonical) if path]
    if canonical and right is not None:
        results.append('{0}.b{1}'.format(*os.path.splitext(canonical)))
    _paths.refuse_to_replace(results, [path for path in (left, right) if path], overwrite)
    if right is None:
        if not canonical:
            raise _errors.UsageError('One graph cannot be compared.', 'Give two, or --canonical OUT.pb.')
        _canonical.write(_sources.load(left).graph(outputs), canonical)
        return None, [canonical]
    with _paths.told(progress):
        answer = _verdict.compare(left, right, outputs, checkpoint)
        if run:
            from od_patch.compare import _run
            answer.run = _run.run(answer, run)
    written = _canonical.write_both(answer, canonical) if canonical else []
    if report:
        from od_patch.compare import _page
        with _staging.replacing(report) as path:
            _page.write(answer, path)
    return answer, written


def compare(
        left: _Any, right: _Any, outputs: _Any, checkpoint: _Any, run: _Any, canonical: _Any, report: _Any,
        overwrite: _Any, progress: _Any) -> api.Comparison:
    """See ``od_patch.compare``."""
    return comparison(compare_(left, right, outputs, checkpoint, run, _paths.expanded(canonical),
                               _paths.expanded(report), overwrite, progress)[0])


def comparison(answer: _Any) -> api.Comparison:
    """Returns the ``Comparison`` of an ``Answer``."""
    return _made.made(api.Comparison, answer.as_json())


def inspect_(graph: _Any, outputs: _Any, checkpoint: _Any) -> _Any:
    """Returns (``Source``, ``Graph``, ``Provenance``, what of the checkpoint it holds or None)."""
    _paths.require_tensorflow()
    from od_patch.compare import _origin
    from od_patch.compare import _provenance
    source, built, provenance = _provenance.inspect(_paths.local(graph), _paths.names(outputs))
    return source, built, provenance, _origin.origin(built, _paths.expanded(checkpoint)) if checkpoint else None


def inspect(graph: _Any, outputs: _Any, checkpoint: _Any) -> api.Inspection:
    """See ``od_patch.inspect``."""
    return inspection(*inspect_(graph, outputs, checkpoint))


def inspection(source: _Any, built: _Any, provenance: _Any, origin: _Any) -> api.Inspection:
    """Returns the ``Inspection`` of what ``inspect_`` found."""
    found = provenance.as_json()
    found.update(path=source.path, file=source.file, kind=source.kind, bytes=source.bytes, nodes=len(built),
                 outputs=[row[0] for row in built.outputs], checkpoint=origin)
    return _made.made(api.Inspection, found)


def freeze(saved_model: _Any, output: _Any, overwrite: _Any) -> api.FrozenGraph:
    """See ``od_patch.freeze``."""
    _paths.require_tensorflow()
    from od_patch.graphs import _sources
    saved_model, output = _paths.local(saved_model), _paths.expanded(output)
    _paths.refuse_to_replace([output], [saved_model], overwrite)
    graph_def, variables, unread = _sources.frozen_saved_model(saved_model)
    data = graph_def.SerializeToString(deterministic=True)
    with _staging.replacing(output) as path:
        with open(path, 'wb') as file:
            file.write(data)
    return api.FrozenGraph(output, len(graph_def.node), variables, list(unread), len(data))


def regenerate_(checkpoint: _Any, config: _Any, like: _Any, apply: _Any, output: _Any) -> _Any:
    """Returns (list of ``regenerate._installed.Attempt``, the ``TrainEvalPipelineConfig``)."""
    _paths.require_tensorflow()
    from od_patch import legacy
    from od_patch.checkpoint import _checkpoint
    from od_patch.regenerate import _installed
    from od_patch.config import _config
    from od_patch.environment import _environment
    from od_patch.graphs import _sources
    like = _paths.local(like)
    checkpoint, config, output = map(_paths.expanded, (checkpoint, config, output))
    _sources.load(like)  # before an export that takes a minute
    checkpoint = _checkpoint.resolve(checkpoint)
    _environment.require()
    with legacy.on():
        with legacy.quick_imports():
            _environment.import_exporter()
        read = _config.read(config)
    return _installed.regenerate(checkpoint, config, like, apply, output, read), read


def regenerate(checkpoint: _Any, config: _Any, like: _Any, apply: _Any, output: _Any) -> api.Regeneration:
    """See ``od_patch.regenerate``."""
    attempts, read = regenerate_(checkpoint, config, like, apply, output)
    return regeneration(attempts, read, _paths.expanded(output))


def regeneration(attempts: _Any, config: _Any, output: _Any) -> api.Regeneration:
    """Returns the ``Regeneration`` of what ``regenerate_`` found."""
    from od_patch.regenerate import _installed
    answer = attempts[-1].answer
    flags, override, left = _installed.adjustments(answer, config) if answer.exit_code else ({}, '', [])
    return api.Regeneration(
        verdict=answer.verdict, reason=answer.reason,
        attempts=[{'flags': attempt.flags, 'comparison': attempt.answer.as_json()} for attempt in attempts],
        settings=dict(flags, **({'config_override': override} if override else {})),
        pin=_installed.pin(answer) if left else [], output=output)
